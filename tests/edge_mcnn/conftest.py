"""Fixtures of the tests of `convert` and `training`, for the tests of their commands."""

from tests.convert.conftest import full_size as full_size
from tests.convert.conftest import in_this_process as in_this_process
from tests.convert.conftest import small_model as small_model
from tests.training.conftest import console as console
from tests.training.conftest import corpus as corpus
from tests.training.conftest import meld as meld
from tests.training.conftest import small_network as small_network
from tests.training.conftest import write_table as write_table
