"""As much of a collection as a file of a bounded size holds."""

from __future__ import annotations

from refine_af.browser.collection import Collection, drawn
from refine_af.browser.columns import columns_of
from refine_af.pages.standalone import packed

MARGIN = 0.98  # of what would just fit, since a sample's rows are not as long as the mean


def within(whole: Collection, most: int, seed: int) -> tuple[Collection, str]:
    """What a page shows, the whole or a sample, and its packed columns of at most `most` bytes.

    A sample without a row is the last resort.
    """
    share, shown = 1.0, whole
    data = packed(columns_of(whole, whole))
    while len(data) > most and share:
        share *= MARGIN * max(0, most) / len(data)
        share = share if share * max(len(whole.pool), len(whole.rejected)) >= 1 else 0.0
        shown = drawn(whole, share, seed)
        data = packed(columns_of(shown, whole))
    return shown, data
