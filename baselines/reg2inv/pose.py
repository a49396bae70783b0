"""The pose of a scan in the prototype's frame: as it comes, by the network's correspondences, or by the library."""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from pointadplus.geometry.alignment import Reference
from pointadplus.geometry.registration import Transform, ransac

from .config import Reg2InvConfig
from .matching import correspondences
from .model import CloudInput, Reg2InvNet, cloud_input
from .scan import Scan, surface_normals, thinned


class Prototype:
    """The first normal scan, which all others are registered to.

    Args:
        scan: it.
        network: gives features, and correspondences if it registers.
        registration: by the "network", or, also where the network finds fewer than three correspondences, by the
            "library", whose `Reference` needs no learning; "none": the scans are in one pose already.
    """

    def __init__(self, scan: Scan, network: Reg2InvNet, registration: str) -> None:
        self.scan, self.network, self.registration = scan, network, registration

    def motion(self, scan: Scan, points: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Transform:
        """The rigid motion of a scan's normalised points onto the prototype's.

        Args:
            scan: whole.
            points, normals: of it, at the resolution of the network's voxel.
        """
        config = self.network.config
        if self.registration == "none":
            turn = self.scan.rotation.double()
            shift = turn @ (scan.center - self.scan.center) / self.scan.radius
            return Transform(turn @ scan.rotation.double().T, shift)
        if self.registration == "network":
            source = cloud_input(points, normals, config, self.network.neighbor_limits)
            pairs = matched_points(self.network, self._input, source)
            if len(pairs) >= 3:
                return ransac(
                    points[pairs[:, 1]],
                    self._input.points.cpu()[pairs[:, 0]],
                    config.ransac_threshold,
                    hypotheses=config.matching.hypotheses,
                    seed=config.seed,
                )
        return self._reference.align(scan.points)

    @cached_property
    def _input(self) -> CloudInput:
        config = self.network.config
        points, sides = thinned(self.scan.points, self.scan.normals, config.voxel)
        normals = surface_normals(points, sides, config.network.normal_neighbors)
        return cloud_input(points, normals, config, self.network.neighbor_limits)

    @cached_property
    def _reference(self) -> Reference:
        return Reference(self.scan.points)


@torch.no_grad()
def matched_points(network: Reg2InvNet, reference: CloudInput, source: CloudInput) -> Tensor:
    """Correspondences that a network in evaluation mode finds: (C, 2) int64 points of the reference and of the source.

    Both inputs may be on the CPU; the result is.
    """
    config: Reg2InvConfig = network.config
    device = network.limits.device
    reference, source = reference.to(device), source.to(device)
    matching = network(reference, source)
    patches = reference.patches, source.patches
    found = correspondences(matching.fine_scores, patches, matching.pairs, config.matching.mutual, config.confidence)
    return found.cpu()
