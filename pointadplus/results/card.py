"""What Jupyter shows of a scored cloud: a picture beside its numbers, as HTML without scripts or links."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor

from ..cloud import PointCloud
from ..text import html_table, plain_text, rounded
from .regions import Region
from .snapshot import Snapshot

LISTED = 5  # regions


def card(
    cloud: PointCloud,
    scores: Float[Tensor, "n"],
    facts: Mapping[str, str],
    seconds: Mapping[str, float],
    regions: Sequence[Region],
    threshold: float,
) -> str:
    """HTML of a scored cloud: nothing is loaded or run, text is escaped, and it reads on a dark and a light background.

    Args:
        cloud: N points.
        scores: (N,) in [0, 1], one a point.
        facts: texts that stand first in the table; empty ones are left out.
        seconds: of each stage.
        regions: all, the highest peak first; five are listed.
        threshold: the point score that the regions start from.
    """
    stages = ", ".join(f"{stage} {rounded(value)}" for stage, value in seconds.items())
    rows = {
        "file": cloud.source,
        **facts,
        "highest point score": f"{float(scores.max()):.4f}",
        "points": f"{len(cloud):,}",
        "dropped": f"{cloud.dropped:,} rows" if cloud.dropped else None,
        "seconds": f"{rounded(sum(seconds.values()))} ({stages})" if seconds else None,
        "regions": f"{len(regions) or 'none'} from a point score of {rounded(threshold)}",
    }
    picture = base64.b64encode(Snapshot.of(cloud, scores).png(scores)).decode("ascii")
    name = html.escape(plain_text(cloud.source or "the cloud"))
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:1.5em;align-items:flex-start">'
        f'<img src="data:image/png;base64,{picture}" alt="{name}, from the side that shows best what is anomalous" '
        'title="point scores from dark blue, normal, to yellow, anomalous">'
        f'<div style="flex:1 1 20em">'
        f"{html_table((key, value) for key, value in rows.items() if value)}{_listed(regions)}</div></div>"
    )


def _listed(regions: Sequence[Region]) -> str:
    """A table of the first regions, and how many more there are."""
    if not regions:
        return ""
    head = ("region", "points", "area", "length × width", "depth", "peak")
    rows = [
        (
            "·".join([str(region.number), *([] if region.word is None else [region.word])]),
            f"{region.points:,}",
            rounded(region.area),
            " × ".join(map(rounded, region.extent[:2])),
            "–" if region.depth is None else f"{'' if region.sided else '±'}{rounded(region.depth)}",
            f"{region.peak_score:.2f}",
        )
        for region in regions[:LISTED]
    ]
    more = f"<div>and {len(regions) - LISTED:,} more</div>" if len(regions) > LISTED else ""
    return html_table(rows, head) + more
