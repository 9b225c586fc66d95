"""What stands, lies and hangs in rooms, each drawn anew from a sheet of recipes.

Furniture, and what hangs on walls, has the middle of its back at the origin of its builder, small
things their middle. All look forward.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from depth_ros.frame import Float64
from depth_ros.simulation import people, shapes, vegetation
from depth_ros.simulation.builder import Builder, Vector
from depth_ros.simulation.materials import Material
from depth_ros.simulation.palette import Palette

_PROFILES = {
    'cup': ((0.0, 0.0), (0.4, 0.0), (0.5, 1.0), (0.44, 1.0), (0.35, 0.1), (0.0, 0.1)),
    'flask': ((0.0, 0.0), (0.5, 0.0), (0.5, 0.6), (0.18, 0.8), (0.18, 1.0), (0.0, 1.0)),
    'vase': ((0.0, 0.0), (0.3, 0.0), (0.5, 0.4), (0.22, 0.8), (0.33, 1.0)),
    'bowl': ((0.2, 0.0), (0.5, 1.0), (0.46, 1.0), (0.15, 0.12), (0.0, 0.1)),
    'shade': ((0.5, 0.0), (0.32, 1.0)),
}
_Z, _Y = np.meshgrid((0.0, 1.0), np.linspace(-0.5, 0.5, 50), indexing='ij')
_FOLDS = np.stack(((0.3 - 0.15 * _Z) * np.sin(45 * _Y + 3 * np.sin(9 * _Y)), _Y, _Z), axis=-1)
_MESHES = {name: shapes.revolution(profile, 10) for name, profile in _PROFILES.items()} | {
    'cone': shapes.cone(10), 'soft': shapes.rounded(0.35, 12), 'block': shapes.rounded(0.15, 12),
    'folds': shapes.sheet(_FOLDS),
}  # fmt: skip
_GROUPS = {
    'F': 'wood/white/paint', 'L': 'metal/wood/white', 'M': 'metal/rubber', 'P': 'white/plastic',
    'S': 'cloth/plastic/wood', 'W': 'wood/white',
}  # fmt: skip

_SHEET = """
mug: cup .085 .085 .1 P; laptop: box .23 .33 .018 M, box -.11 0 .01 .012 .33 .22 screen -.4;
bottle: flask .08 .08 .3 paint/plastic/glass; carton: box .16 .22 .15 cardboard/plastic/paint;
pot: cup .22 .22 .14 metal/paint, box 0 .13 .1 .03 .06 .015 rubber;
fruit: bowl .28 .28 .09 W, ball .05 .05 .07 .08 .08 .08 P, ball -.05 0 .08 .08 .08 .08
 paint/leaves; papers: box .3 .21 .01 white/plastic, box .04 .06! 0 .3 .21 .016 white1/plastic ?;
flowers: vase .13 .13 .26 P, leaves .36 .26 .26 .26 leaves, leaves .44 .22 .22 .14 plastic/paint;
desk-lamp: post .16 .16 .02 M, post .016 .016 .34 M -.35, post -.12 0 .32 .016 .016 .32 M 1.1, cone
 .17 0 .36 .17 .17 .13 M -.4; table-lamp: vase .14 .14 .26 P, shade .25 .3 .3 .2 light;
photo: box .015 .16 .21 painting/wood -.35;
books: box .16 .24 .03 plastic, box .01 .01! .03 .15 .22 .05 plastic1 ?, box .08 .14 .2 .025
 plastic2 ?;
monitor: box .18 .24 .015 M, box -.03 0 0 .03 .06 .28 M, box .11 .03 .54 .32 rubber, box .004 0
 .122 .03 .52 .296 screen, box .33 0 0 .15 .42 .025 rubber/white ?;
chair: box .43 .42 .42 .04 S, post .18 .18 0 .034 .034 .44 L, post -.18 .18 0 .034 .034 .9 L -.06,
 box -.21 0 .62 .025 .38 .09 S -.06, box -.22 0 .78 .025 .38 .1 S -.06;
tube-chair: soft .45 .46 .44 .08 S, post .2 .2 0 .025 .025 .45 M, soft -.22 0 .74 .06 .42 .36 S
 -.1, post -.2 .2 0 .025 .025 .9 M -.03, post -.2 .2 .015 .025 .025 .4 M 1.57;
swivel-chair: box .03 .6 .05 .05 M, box .03 .05 .6 .05 M, ball .28 0 .03 .06 .04 .06 rubber, ball 0
 .28 .03 .06 .04 .06 rubber, post .03 .05 .05 .4 M, soft .46 .5 .48 .11 S, box -.25 0 .42 .03 .06
 .3 M -.1, soft -.26 0 .83 .09 .45 .56 S -.3, post -.02 .25 .42 .025 .025 .22 M, box 0 .25 .64 .26
 .06 .03 M; floor-lamp: post .3 .3 .03 M, post .028 .028 1.55 M, shade 1.4 .44 .44 .3 light;
stool: post .44 .36 .36 .04 S, post .1 .11 0 .03 .03 .45 L, post -.1 .11 0 .03 .03 .45 L;
bin: cup .3 .3 .34 metal/plastic/rubber; shoes: soft 0 .07 .05 .28 .1 .1 rubber/cloth;
toy: ball 0 0 .1 .2 .2 .2 plastic|paint ?, box .2 .04 0 .12 .08 .07 white|plastic, box .17 -.12!
 0 .06 .06 .12 plastic|paint ?, post -.16 .14! 0 .07 .07 .1 plastic|wood ?; clothes: soft 0 0 .06
 .5 .36 .13 cloth|cloth, soft .12 .1! .12 .3 .24 .1 cloth|cloth .3 ?; cushion: soft 0 0 .16 .14
 .45 .42 cloth|cloth -.9, soft .1 .1! .1 .15 .4 .4 cloth|cloth .8 ?; board .35 .4-1 .5-1.1: box
 .32 0 0 .02 1W 1H white|painting|wood|cardboard -.32, box .36 .2W! 0 .02 .6W .6H wood|painting
 -.32 ?;
pouf: soft .19 .5 .5 .38 cloth; pillar: box .36 .36 8 plaster/concrete/white;
bag: soft .17 .22 .36 .34 cloth/rubber, post 0 .08 .3 .02 .02 .16 rubber .2;
boxes: box .45 .6 .36 cardboard, box .02 .02! .36 .4 .42 .3 cardboard1 ?;
palm .8 .8 1.6: potted .5D 0 0 1 1 1;
flip-chart: box .1 0 .9 .02 .7 1 white -.3, post .32 .36 0 .03 .03 1.9 M -.3, post -.4 0 0 .03
 .03 1.9 M .2;
leg-table: box .5D 0 1H-.03 1D 1W .03 W, post .06 .5W-.06 0 .05 .05 1H-.03 L, post 1D-.06 .5W-.06 0
 .05 .05 1H-.03 L; table: leg-table/side-table/foot-table 1D 1W 1H;
side-table: box .5D 0 1H-.03 1D 1W .03 W, box .5D .5W-.06 0 1D-.04 .03 1H-.03 W, box .2D 0 .6H .02
 1W-.12 .3H W;
foot-table: box .5D 0 1H-.04 1D 1W .04 W, box .5D .4W 0 .85D .06 .04 M, box .5D .4W 0 .08 .06
 1H-.04 M, box .5D 0 .8H .04 .8W .06 M;
desk .5-.8 .9-1.8 .75: table 1D 1W .74, drawers .08 .3W! 0 .8D .4 .6 ?, things .74 1D 1W 6
 books/mug/papers/desk-lamp/laptop/carton/photo/flowers/bottle;
work-desk 1.45 1.3-1.8 .8: table .06 0 0 .75 1W .74, monitor .26 .28 .74 1 1 1 -.15, box .02 0 .1
 .04 1W 1.2 cloth2 ?, drawers .16 -.3W! 0 .55 .4 .6 ?, cable .2 .1! .74 .3 .3 .6, things .1 .5W-.15
 .74 .6 .25 1.2 papers/books/mug/bottle/desk-lamp/photo, swivel-chair 1.15 0 0 1 1 1 3.1, sitter
 1.12 0 0 1 1 1 3.1 ?2;
school-desk 1.15 1.2-1.5 .8: table .55 1W .74, things .74 .5 1W 3 papers/books/bottle/laptop,
 chair/tube-chair .8 .25W 0 1 1 1 3.1, sitter .8 .25W 0 1 1 1 3.1 ?2;
dining 1.9-2.2 1.3-2.2 .9: leg-table/foot-table .55 0 0 1D-1.1 1W .74, box .5D 0 0 1D 1W .012
 carpet/cloth ?, chair/tube-chair/stool .42 .25W .012 1 1 1 .1, chair/tube-chair/stool 1D-.42 .25W
 .012 1 1 1 3.1, things .55 0 .74 1D-1.1 1W 8 mug/bottle/fruit/flowers/papers/books/laptop, sitter
 .42 .25W 0 1 1 1 .1 ?2;
sofa .8-1 1.4-2.4 .9: box .5D 0 .1 1D-.05 1W-.1 .2 cloth, box .5D .5W-.1 0 .8D .05 .1 metal, block
 .14 0 .45 .26 1W .75 cloth -.32, block .5D .5W-.1 .35 1D .2 .5 cloth, block .5D+.1 .25W-.05 .38
 1D-.2 .5W-.11 .17 cloth, soft .36 .2W .6 .16 .42 .4 cloth|cloth -.35 ?;
armchair .75-.85 .7-.85 .9: sofa 1D 1W 1;
lounge 1.9-2.3 1.5-2.4 .9: sofa .9 1W .8, box .5D+.1 0 0 1D-.2 1W .012 carpet/cloth1,
 leg-table/foot-table 1.25 0 0 1D-1.3 .6W .42, things 1.25 0 .42 1D-1.3 .6W 5
 books/mug/fruit/flowers/papers/laptop, sitter .5 -.25W! 0 1 1 1 .1 ?2;
bed 2-2.15 1.5-2.4 1: box .03 -.22! 0 .05 1W-.42 .9 wood/white/cloth, box .5D -.22! .12 1D 1W-.5
 .18 W, block .5D -.22! .42 1D-.08 1W-.53 .3 white, block .62D -.22! .45 .74D 1W-.44 .34 cloth,
 soft .3 -.22! .63 .4 .8W-.6 .15 cloth1/white .25, drawers 0 .5W-.21! 0 .4 .4 .48, things 0
 .5W-.21! .48 .4 .3 2 table-lamp/books/mug/photo;
cupboard .38-.62 .6-2 .8-2.1: box .5D 0 .06 1D 1W 1H-.06 F, box .45D 0 0 .8D 1W-.06 .06 rubber, box
 1D .25W .08 .03 .5W-.012 1H-.1 F, post 1D+.035 .04 .5H-.1 .014 .014 .2 metal, things 1H 1D 1W 3
 carton/books/flowers/bottle/photo; crate: box .45D 0 0 .9D .8W .75H cardboard/plastic/wood/books;
drawer: box .5D 0 0 1D 1W 1H F, box 1D 0 .01 .03 1W-.02 1H-.02 W, box 1D+.02 0 .6H .03 .12 .015
 metal; drawers: drawer 1D 1W .33H, drawer .33H 1D 1W .33H, drawer .66H 1D 1W .34H;
sideboard .35-.5 1-2.2 .6-1: drawers 0 .25W 0 1D .5W 1H, things 1H 1D 1W 6
 books/table-lamp/flowers/bottle/photo/fruit; tray: things 1D 1W 2 mug/books/photo/carton/bottle;
media .4-.45 1.2-2 1.5: drawers 0 .25W 0 1D .5W .45, box .2 0 .45 .04 .3 .15 rubber, box .2 0 .55
 .04 .8W .45W rubber, box .206 0 .565 .04 .8W-.03 .45W-.03 screen; stairs .9-1.1 2.6-3.6 1.9-2.3:;
tier: box .5D .5W-.012 0 1D .025 1H L, box .5D 0 0 1D 1W .025 L, spines|spines|tray|crate .02 .25W
 .025 1D-.04 .5W-.05 1H-.05 ?85; coat: shade .14 .4 .85 cloth|cloth;
shelf .24-.42 .8-1.8 1.6-2.1: tier 1D 1W .2H, tier .2H 1D 1W .2H, tier .4H 1D 1W .2H, tier .6H 1D
 1W .2H, tier .8H 1D 1W .2H, box .01 0 0 .015 1W 1H L ?, box .5D 0 1H 1D 1W .025 L, things 1H 1D 1W
 1 carton/books/plant;
low-shelf .24-.42 .8-2.2 .7-1.1: tier 1D 1W .5H, tier .5H 1D 1W .5H, box .5D 0 1H 1D 1W .025 L,
 things 1H+.025 1D 1W 6 carton/books/plant/flowers/photo/table-lamp;
counter .62 1.6-3.4 2.2: box .5D 0 .1 1D-.04 1W .76 F, box .4D 0 0 .8D 1W .1 rubber, box .5D 0 .86
 1D 1W .04 stone/wood/metal, drawer .03 .125W .1 1D-.05 .25W .74, drawer .03 .375W .1 1D-.05 .25W
 .74, box .008 0 .9 .016 1W .55 ceiling, box .3 .25W! .9 .4 .5 .01 metal, post .1 .25W! .9 .03 .03
 .26 metal, post .1 .25W! 1.15 .02 .02 .18 metal 1.57, box .32 -.25W! .9 .5 .55 .008 screen, pot .3
 -.2W! .91 1 1 1 ?, box .17 .25W 1.45 .34 .5W-.02 .7 W, things .9 .35 1W 9
 bottle/mug/carton/fruit/flowers/pot;
fridge .62 .6-.7 1.4-1.9: drawer 1D 1W .6H, drawer .6H 1D 1W .4H, things 1H 1D 1W 2
 carton/bottle/books;
rack .5 .9-1.6 1.5-1.75: post .5D .5W-.03 0 .03 .03 1H M, box .5D .5W-.03 0 1D .04 .04 M, box .5D 0
 1H-.03 .03 1W .03 M, coat .5D .05W .5 1 1 1 1.3 ?, coat .5D .15W .6 1 1 1 1.7 ?, coat .5D .26W .4
 1.1 1 1 1.5 ?, coat .5D .38W .55 1 1 1 1.8 ?, shoes .5D .2W 0 1 1 1 ?;
radiator: box .06 0 .1 .03 1W 1H white, box .11 0 .1 .02 1W 1H white, post .08 -.5W+.04! 0 .02 .02
 .2 metal; draped-window: window 1D 1W 1H, folds .12 .45W -.6 .12 .35W 1H+.7 cloth;
slats: box 0 0 0 .03 1W .004 white .5, box 0 0 .33H .03 1W .004 white .5, box 0 0 .66H .03 1W .004
 white .5; closed: box 0 .5W! 0 .045 1W 1H F, box 0 .9W! 1 .16 .1 .02 metal;
blind: slats 1D 1W .25H, slats .25H 1D 1W .25H, slats .5H 1D 1W .25H, slats .75H 1D 1W .25H;
window: box -.1 .5W-.03 0 .12 .06 1H W, box -.1 0 0 .12 1W .06 W, box -.1 0 1H-.06 .12 1W .06 W,
 box -.1 0 0 .07 .05 1H W, box .03 0 -.03 .3 1W+.1 .03 white/stone, things -.02 0 .06 .14 1W 2
 plant/bottle/books/flowers/photo; open: closed 0 0 0 1D 1W 1H 1.2;
bright-window: window 1D 1W 1H, box -.12 0 0 .01 1W 1H daylight, blind -.03 0 0 .03 1W 1H ?;
door: box -.1 .5W+.02 0 .26 .08 1H+.04 W, box -.1 0 1H .26 1W .06 W, closed|closed|open|glass-leaf
 -.17 -.5W! 0 .045 1W 1H ?8;
glass-leaf: box 0 .5W! .1 .015 1W-.1 1H-.2 glass, box 0 .5W! 0 .045 1W .1 M, box 0 .5W! 1H-.1 .045
 1W .1 M, post .06 1W-.1! .8 .03 .03 .4 metal;
next-room: box -.5D 0 -.101 1D 1W .1 parquet/stone/carpet, box -.5D 0 1H 1D 1W .1 plaster, box -1D
 0 0 .1 1W 1H wallpaper, box -.5D .5W 0 1D .1 1H wallpaper, picture .05-1D .5 1.5 .03 .8 .6, shelf
 .05-1D -.8! 0 .3 1.2 1.9, low-shelf .05-1D .8! 0 .3 1.2 .8, chair .6-1D .2! 0 1 1 1 1;
outside: box -30 0 -1H-.1 58 90 .1 grass/paving/asphalt, box -22 0 -1H 8 18 14 wall, box -26 22 -1H
 8 18 9 wall|wall, tree -8 3 -1H 1 1 6 ?;
picture .03 .3-1.3 .3-.9 1.2: box .012 0 0 .024 1W 1H wood/rubber/metal, box .016 0 .03 .024 1W-.06
 1H-.06 painting; panel: box -.03 1.2 .3 .03 light, box -.02 1.26 .36 .02 white;
whiteboard .1 1-2.4 .8-1.1 .95: box .012 0 0 .024 1W 1H metal, box .016 0 .02 .024 1W-.04 1H-.04
 white, box .05 0 -.02 .1 .7W .02 metal; cord .02 .6-2.4 .4 1.9: cable .01 -.5W! .4 0 1W .2;
wall-shelf .24 .4-1.4 .3 1.4: box .11 0 0 .22 1W .025 W, things .025 .2 1W 5
 books/mug/photo/flowers/bottle;
hooks .3 .6-1.4 1 .8: box .01 0 .95 .02 1W .08 wood, coat .12 .12W .1 1 1 1 .1 ?, coat .12 .38W .05
 1 1 1 .1 ?; pendant: post -.45 .01 .01 .45 rubber, shade -.6 .4 .4 .22 light/paint/metal/cloth
"""
"""Things: a name, of furniture also depth, width, height and height over the floor, and parts: a
shape, its place and size in metres (what lacks is 0), roles or a group of them, a lean. Or a part
is another thing, with a yaw, or a row of `things`, of a depth, width and number. D, W and H are
shares of depth, width and height. What is off the middle is on both sides but for a `!`; a `?` is
a chance, .6 or as it says. Of names between / one is for all of a thing, between | for each part,
and numbers tell them apart."""

_Part = tuple[str, Float64, str, float, tuple[int, ...], float]


def _read(text: str) -> list[_Part]:
    """Shape, terms (6, 4) of place and size by (1, D, W, H), roles, lean, sides and chance."""
    parts: list[_Part] = []
    for shape, *words in filter(None, map(str.split, text.split(','))):
        chance = float('.' + (words.pop()[1:] or '6')) if words[-1][0] == '?' else 1.0
        roles = next((word for word in words if word[0].isalpha()), '')
        numbers = words[: words.index(roles) if roles else 6]
        lean = float((*words[len(numbers) + bool(roles) :], '0')[0])
        terms = np.zeros((6, 4))
        for row, number in zip(terms[6 - len(numbers) :], numbers, strict=True):
            for value, of in re.findall(r'([-+]?[\d.]+)([DWH]?)', number):
                row['1DWH'.index(of or '1')] += float(value)
        sides = (1, -1) if terms[1].any() and '!' not in ''.join(numbers) else (1,)
        parts.append((shape, terms, _GROUPS.get(roles, roles), lean, sides, chance))
    return parts


_THINGS = [thing.split(':') for thing in _SHEET.replace('\n', ' ').split(';')]
_RECIPES = {head.split()[0]: _read(text) for head, text in _THINGS}
SIZES_M: dict[str, Float64] = {}
"""Least and most (4, 2) depth, width, height and height over the floor of furniture."""
for _name, *_sizes in (head.split() for head, _ in _THINGS):
    if _sizes:
        _ranges = [(size.split('-') * 2)[:2] for size in (*_sizes, '0')[:4]]
        SIZES_M[_name] = np.array(_ranges, float)


class Furniture:
    """Builds furniture of materials from a palette."""

    def __init__(self, rng: np.random.Generator, palette: Palette) -> None:
        self._rng, self._palette, self._draw = rng, palette, rng.uniform
        self._covers = [palette('plastic') for _ in range(12)]
        self._made: dict[str, Callable[[Builder, Vector], None]] = {
            'spines': self._spines, 'cable': self._cable, 'stairs': self._stairs,
            'person': lambda at, _: people.person(at, palette, rng, 'standing'),
            'sitter': lambda at, _: people.person(at, palette, rng, 'sitting'),
            'plant': lambda at, size: vegetation.pot_plant(at, palette, rng, 0.32 * size[2]),
            'potted': lambda at, _: vegetation.pot_plant(at, palette, rng, rng.uniform(0.6, 1.9)),
            'tree': lambda at, size: vegetation.tree(at, palette, rng, size[2]),
        }  # fmt: skip

    def pick(self, names: str) -> str:
        """One of some names."""
        options = re.split(r'[/|]', names)
        return options[int(self._rng.integers(len(options)))].rstrip('0123456789')

    def new(self, roles: str) -> Material:
        """A material of one of some roles."""
        return self._palette(self.pick(roles))

    def add(
        self, at: Builder, name: str, size: Vector = (1, 1, 1), kept: dict[str, Any] | None = None
    ) -> None:
        """Put furniture of a depth, width and height somewhere, or a small thing of a scale.

        What was chosen is `kept` for parts that are alike.
        """
        if name in self._made:
            return self._made[name](at, size)
        kept, parts = {} if kept is None else kept, _RECIPES[name]
        scale = 1.0 if any(terms[:, 1:].any() for _, terms, *_ in parts) else size[0]
        for shape, terms, roles, lean, sides, chance in parts:
            x, y, z, deep, wide, high = map(float, terms @ (scale, *size))
            for side in sides:
                if self._rng.random() < chance:
                    place, extent = at.at(x, side * y, z), (deep, wide, high)
                    self._part(place, extent, shape, roles, lean if roles else side * lean, kept)
        return None

    def _part(
        self, at: Builder, size: Vector, shape: str, roles: str, lean: float, kept: dict[str, Any]
    ) -> None:
        """Put a shape, or another thing, of which there may be a choice."""
        name = self.pick(shape)
        name = name if '|' in shape else kept.setdefault(f'one of {shape}', name)
        if name == 'things':
            return self._row(at, size, roles)
        if not roles:
            turned = at.at(0, 0, 0, lean + 0.12 * self._rng.normal() * bool(lean))
            return self.add(turned, name, size, kept)
        look = self.new(roles)
        look = look if '|' in roles else kept.setdefault(roles, look)
        if name == 'box':
            at.box((0, 0, 0), size, look, tilt=lean)
        elif name == 'post':
            at.post((0, 0, 0), size[0] / 2, size[2], look, tilt=lean)
        elif name == 'ball':
            at.ball((0, 0, 0), (size[0] / 2, size[1] / 2, size[2] / 2), look)
        else:
            leaf = 0.03 / math.sqrt(size[0])
            mesh = _MESHES.get(name) or shapes.leaves(self._rng, int(30 + 160 * size[0]), leaf)
            at.mesh(mesh, (0, 0, 0), size, look, tilt=lean)
        return None

    def _row(self, on: Builder, size: Vector, names: str) -> None:
        count = int(self._rng.poisson(size[2]))
        for i in range(count):
            y = ((i + self._draw(0.35, 0.65)) / count - 0.5) * (size[1] - 0.1)
            at = on.at(size[0] * self._draw(0.3, 0.7), y, 0, self._draw(-0.5, 0.5))
            self.add(at, self.pick(names), (self._draw(0.8, 1.15),) * 3)

    def _spines(self, at: Builder, size: Vector) -> None:
        """Books beside each other, which fill a part of a width."""
        y, end = -size[1] / 2, size[1] * self._draw(-0.1, 0.5)
        while y < end - 0.06:
            deep, wide, high = np.multiply(size, self._draw((0.6, 0, 0.6), (0.95, 0, 0.95)))
            wide = self._draw(0.02, 0.06)
            cover = self._covers[int(self._rng.integers(len(self._covers)))]
            at.box((deep / 2, y + wide / 2, 0), (deep, wide, high), cover)
            y += wide + 0.002

    def _cable(self, at: Builder, size: Vector) -> None:
        """A cable that hangs from here to a place `size` ahead, beside and below."""
        share = np.linspace(0, 1, 12)[:, None]
        points = share * np.array((size[0], size[1], -size[2]))
        points[:, 2:] -= self._draw(0.2, 1.4) * abs(size[1]) * share * (1 - share)
        tube = shapes.tube(points, self._draw(0.008, 0.02), 4)
        at.mesh(tube, (0, 0, 0), (1, 1, 1), self.new('rubber/white'))

    def _stairs(self, at: Builder, size: Vector) -> None:
        """Stairs that climb along y, with a railing of thin bars."""
        (deep, wide, high), wood, metal = size, self.new('wood/stone'), self.new('metal/white')
        count, solid = round(high / 0.18), self._rng.random() < 0.4
        rise, run = high / count, wide / count
        for i in range(count):
            y, z = (i + 0.5) * run - wide / 2, (i + 1) * rise
            thick = z if solid else 0.05
            at.box((deep / 2, y, z - thick), (deep, run + 0.03, thick), wood)
            at.post((deep - 0.04, y, z), 0.011, 0.9, metal)
        for x, z in ((deep - 0.04, 0.9), (deep - 0.04, -0.1), (0.04, -0.1)):
            start, end = (x, (run - wide) / 2, z + rise), (x, (wide - run) / 2, z + high)
            at.rod(start, end, 0.025 if z > 0 else 0.05, metal)
