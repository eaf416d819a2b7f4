"""Several hosts on one machine: workers in network namespaces, and what befalls them."""
