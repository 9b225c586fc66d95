"""Which methods exist and what `auto` means."""

from __future__ import annotations

import pytest

from depth_ros.methods.registry import METHODS, choose


@pytest.mark.parametrize('name', METHODS)
def test_methods_carry_the_name_they_are_known_by(name):
    assert METHODS[name]().name == name


def test_auto_takes_the_best_that_runs_on_any_machine_and_says_why():
    name, reason = choose('auto')
    assert name == 'guided'
    assert 'needs neither weights nor a GPU' in reason


def test_a_named_method_is_taken_as_named():
    assert choose('ip_basic') == ('ip_basic', 'chosen by the parameter `method`')
