"""The section of config.yaml on the user-oriented instructions."""

from __future__ import annotations

from typing import Literal

from refine_af.settings.fields import Count, Section, Texts


class Users(Section):
    requests: Count
    max_new_tokens: Count
    stop: Texts
    quantization: Literal["nf4", "none"]
