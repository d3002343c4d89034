"""The section of config.yaml on the release: the data of all models as one data set."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from refine_af.settings.fields import Count, Section, Seed, Text

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
License = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.+-]{0,63}$")]
Named = Annotated[str, StringConstraints(pattern=r"^[!-~][ -~]{0,999}$")]


class Release(Section):
    """What the release says of itself that no file of the run tells, and how it is cut."""

    title: Text = Field(description="The data set's name, at the head of its card (ours).")
    language: Language | None = Field(
        description="The language that you state the data to be in, by its code of BCP 47, as "
        "`en`; null where you state none. No text is looked at (ours: that of the seeds)."
    )
    license: License = Field(
        description="The licence under which you hand the data on, by the hub's name for it; "
        "`other` points to the table of sources (ours)."
    )
    licenses: dict[Named, License] = Field(
        description="By what config.yaml calls a source, a hub checkpoint without its commit, the "
        "licence that its owner states; any other is told as not stated (the owners' pages)."
    )
    rows_per_file: Count = Field(
        description="Most rows of one Parquet file: more memory and fewer files (ours)."
    )
    seed: Seed = Field(description="Seed of the rows that the card shows (ours).")
    examples: Annotated[int, Field(ge=0, le=100)] = Field(
        description="Rows of each model and method that the card shows (ours)."
    )
