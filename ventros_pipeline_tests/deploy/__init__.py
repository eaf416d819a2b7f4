"""The image, the manifests, and what they promise."""
