"""A plain twin of `synthesis.defects_patch.geodesic_patch`: which points a surface connects to a centre."""

from __future__ import annotations

import heapq
import math

Point = list[float]


def connected_points(
    points: list[Point], normals: list[Point], centre: int, radius: float, neighbours: int
) -> set[int]:
    """Rows within `radius` of the centre and within 1.5·radius along the neighbour graph, by Dijkstra's algorithm."""
    ball = [i for i, p in enumerate(points) if math.dist(p, points[centre]) <= radius]
    edges: dict[int, list[tuple[int, float]]] = {i: [] for i in ball}
    for i in ball:
        nearest = sorted(ball, key=lambda j: math.dist(points[i], points[j]))[:neighbours]
        for j in nearest:
            if sum(a * b for a, b in zip(normals[i], normals[j], strict=True)) > -0.2:
                length = math.dist(points[i], points[j])
                edges[i].append((j, length))
                edges[j].append((i, length))
    distance = {centre: 0.0}
    queue = [(0.0, centre)]
    while queue:
        here, i = heapq.heappop(queue)
        if here > distance[i]:
            continue
        for j, length in edges[i]:
            if here + length < distance.get(j, math.inf) and here + length <= 1.5 * radius:
                distance[j] = here + length
                heapq.heappush(queue, (here + length, j))
    return set(distance)
