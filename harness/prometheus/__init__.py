"""What a cluster's Prometheus knows: queries, alerts that fire, and the figures of the servers."""
