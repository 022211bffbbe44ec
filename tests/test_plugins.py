import pytest

from driftwatch import plugins
from driftwatch.errors import PluginError


def test_built_ins_are_found_by_the_mechanism_that_users_have():
    assert "statement" in plugins.names("probes")
    assert plugins.load("probes", "statement").kind == "statement"


def test_an_unknown_name_lists_what_is_installed_and_guesses():
    with pytest.raises(PluginError, match=r'no probe named "statment"; installed probes: .*statement.*Did you mean'):
        plugins.load("probes", "statment")


def test_an_object_is_taken_as_it_is():
    thing = object()
    assert plugins.made("exporters", thing) is thing
