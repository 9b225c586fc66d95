"""`depth_ros models`: weights that exist, bring them here, check them."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import textwrap
from pathlib import Path
from typing import Any

from depth_ros.cli.progress import ProgressBar
from depth_ros.errors import ModelError, callable_here
from depth_ros.evaluation.report import json_text, table
from depth_ros.weights.card import ModelCard
from depth_ros.weights.fetch import fetch
from depth_ros.weights.flops import NETWORKS, Cost, costs
from depth_ros.weights.registry import LEFT_OUT, MODELS, SHIPPED, card
from depth_ros.weights.store import Record, intact, is_fetched, verify, weights_path

_COLUMNS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    actions = parser.add_subparsers(metavar='list|fetch|verify', required=True)

    def action(name: str, run: Any, what: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=what, description=f'{what[:1].upper()}{what[1:]}.')
        added.set_defaults(run=run)
        return added

    listing = action('list', _list, 'what exists, under which licence, and what is here')
    listing.add_argument(
        'names', nargs='*', metavar='NAME', help='tell all about these; by default a line each'
    )
    listing.add_argument(
        '--flops',
        action='store_true',
        help='count parameters and floating-point operations of the networks instead',
    )
    listing.add_argument('--json', action='store_true', help='print a list of objects instead')

    fetching = action('fetch', _fetch, 'bring weights into the cache')
    fetching.add_argument('name', metavar='NAME', help='as `depth_ros models list` shows it')
    fetching.add_argument(
        '--accept-licence',
        action='store_true',
        help='do not ask whether its licences are accepted',
    )
    fetching.add_argument(
        '--from',
        type=Path,
        dest='source_file',
        metavar='FILE',
        help='take this checkpoint, or zip or tar archive of one, instead of downloading',
    )
    fetching.add_argument(
        '--force', action='store_true', help='fetch again, even if the file changed at its source'
    )

    verifying = action('verify', _verify, 'compare what is here with what was fetched')
    verifying.add_argument('names', nargs='*', metavar='NAME', help='all that are here by default')
    verifying.add_argument('--json', action='store_true', help='print a list of objects instead')


def main(args: argparse.Namespace) -> int:
    """Run the action; 1 if weights are damaged, else 0."""
    return int(args.run(args))


def _list(args: argparse.Namespace) -> int:
    if args.flops:
        return _count(args)
    cards = [card(name) for name in args.names] or list(MODELS.values())
    if args.json:
        print(json_text([_entry(known) for known in cards]))
    elif args.names:
        for known in cards:
            print(f'{known.name}: {known.title}, about {known.megabytes} MB')
            _describe(known)
            print(f'  file        {known.file_name}')
            print(f'  SHA-256     {_sha256(known) or "not published; recorded when fetched"}')
    else:
        print(table([_row(known) for known in cards]))
        print('\nlicences of the weights')
        for licence in dict.fromkeys(known.weights_licence for known in cards):
            names = [known.name for known in cards if known.weights_licence == licence]
            print(_wrapped(f'  {", ".join(names)}: {licence}'))
        print(f'\n{", ".join(SHIPPED)}: ships with the package, Apache-2.0; docs/lite.md')
        print('\nleft out')
        for name, reason in LEFT_OUT.items():
            print(_wrapped(f'  {name}: {reason}'))
        tells = '`depth_ros models list NAME` tells all about one, `--flops` what networks cost.'
        print(f'\n{callable_here(tells)}')
    return 0


def _count(args: argparse.Namespace) -> int:
    """Print what networks cost.

    Raises:
        ModelError: only some are asked for.
    """
    if args.names:
        raise ModelError(f'--flops counts every network; leave out {", ".join(args.names)}.')
    counted: list[Cost] = []
    with ProgressBar('counting') as progress:
        for done, network in enumerate(NETWORKS):
            progress(done, len(NETWORKS))
            counted += costs(network)
    if args.json:
        print(json_text([cost._asdict() for cost in counted]))
        return 0
    rows = [
        {
            'network': cost.network,
            'million parameters': f'{cost.parameters / 1e6:.1f}',
            'input': f'{cost.height}x{cost.width}',
            'GFLOP': round(cost.flops / 1e9),
        }
        for cost in counted
    ]
    print(table(rows))
    return 0


def _entry(known: ModelCard) -> dict[str, Any]:
    fields = dataclasses.asdict(known) | {'kind': known.kind.value}
    return {**fields, 'fetched': is_fetched(known.name), 'sha256': _sha256(known)}


def _sha256(known: ModelCard) -> str | None:
    """SHA-256 of the file as its authors offer it, or as it came; None if neither is known."""
    try:
        record = Record.read(weights_path(known.name)) if is_fetched(known.name) else None
    except ModelError:  # nothing legible
        record = None
    return known.sha256 or (record.source_sha256 if record else None)


def _row(known: ModelCard) -> dict[str, Any]:
    return {
        'name': known.name,
        'what': known.title,
        'depth': 'metric' if known.gives_metres else 'relative',
        'MB': known.megabytes,
        'fetched': 'yes' if is_fetched(known.name) else 'no',
    }


def _describe(known: ModelCard) -> None:
    print(f'  project     {known.source}')
    print(f'  trained on  {known.trained_on}')
    print(_wrapped(f'  licences    {known.terms}', 14))
    if known.by_hand:
        print(_wrapped(f'  by hand     {known.by_hand}', 14))


def _wrapped(line: str, indent: int = 4) -> str:
    """A long line as a paragraph; addresses stay whole."""
    return textwrap.fill(
        line,
        _COLUMNS,
        subsequent_indent=' ' * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _fetch(args: argparse.Namespace) -> int:
    wanted = card(args.name)
    if not (args.force or args.source_file) and (record := intact(wanted.name)):
        here = f'{wanted.name} is here since {record.fetched}, from {record.source}'
        print(f'{here}; --force fetches it anew')
        return 0
    if not (wanted.url or args.source_file):
        raise ModelError(f'{wanted.name} cannot be downloaded by this command. {wanted.by_hand}')
    print(f'{wanted.name}: {wanted.title}, about {wanted.megabytes} MB')
    _describe(wanted)
    print(f'  from        {args.source_file or wanted.url or wanted.source}')
    accepted = args.accept_licence or _asked('Do you accept these licences? [y/N] ')
    if not accepted and sys.stdin.isatty():
        raise ModelError('not fetched')
    with ProgressBar(f'{wanted.name} MB') as bar:
        record = fetch(
            wanted,
            accept_licence=accepted,
            source_file=args.source_file,
            force=args.force,
            progress=lambda done, of: bar(done // 10**6, max(of or done, 1) // 10**6),
        )
    print(f'{record.tensors} tensors in {weights_path(wanted.name)}')
    print(f'SHA-256 of the source, recorded {record.fetched}: {record.source_sha256}')
    return 0


def _asked(question: str) -> bool:
    """The user's yes; no where nobody can be asked."""
    try:
        return sys.stdin.isatty() and input(question).strip().lower() in ('y', 'yes')
    except EOFError:
        return False


def _verify(args: argparse.Namespace) -> int:
    names = args.names or [name for name in MODELS if is_fetched(name)]
    found = [_verified(name) for name in names]
    if args.json:
        print(json_text(found))
    else:
        for entry in found:
            print(f'{"OK" if entry["ok"] else "FAIL":4}  {entry["name"]}  {entry["message"]}')
        if not found:
            print(callable_here('Nothing is fetched; `depth_ros models list` shows what exists.'))
    return int(not all(entry['ok'] for entry in found))


def _verified(name: str) -> dict[str, Any]:
    card(name)  # an unknown name is a mistake, not damage
    try:
        record = verify(name)
    except ModelError as error:
        return {'name': name, 'ok': False, 'message': str(error)}
    return {'name': name, 'ok': True, 'message': f'fetched {record.fetched}, {record.sha256}'}
