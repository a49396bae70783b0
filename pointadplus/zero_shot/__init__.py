"""PointAD and PointAD+: from a cloud to what is seen of it, to scores, colours, words for regions and reasons."""
