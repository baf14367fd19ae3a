"""The tree of errors is small and drawn in the module, and every error passes between processes unchanged."""

import importlib
import pickle
import pkgutil
import re

import curate
from curate import errors
from curate.errors import CurateError, InvalidInput, InvalidRow


def all_errors() -> list[type[CurateError]]:
    for module in pkgutil.walk_packages(curate.__path__, "curate."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

    def below(kind: type[CurateError]) -> list[type[CurateError]]:
        return [kind, *(error for child in kind.__subclasses__() for error in below(child))]

    return below(CurateError)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"^[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE)
    assert drawn == [kind.__name__ for kind in CurateError.__subclasses__()]
    assert len(drawn) <= 10


def test_every_error_survives_pickling() -> None:
    for kind in all_errors():
        error = kind("it went wrong", hint="try again")
        error.__dict__["more"] = ("detail",)
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is kind
        assert (str(copy), copy.__dict__) == (str(error), error.__dict__)


def test_details_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(InvalidInput("a", problems=("x:1: wrong",)))).problems == ("x:1: wrong",)
    assert pickle.loads(pickle.dumps(InvalidRow("a", reason="empty_file"))).reason == "empty_file"
