"""What every test shares: the hypothesis profiles.

`HYPOTHESIS_PROFILE` names the profile; without it, `ci` where the variable `CI` is set, else `dev`.
"""

import os

from hypothesis import settings

# The same examples in every run, and no failure because a machine was busy.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
# Fresh examples in every run, and those that once failed first.
settings.register_profile("dev", deadline=None)

default = "ci" if "CI" in os.environ else "dev"
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or default)
