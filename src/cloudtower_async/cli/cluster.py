"""The commands ``cluster …``: list and show clusters."""

from __future__ import annotations

from cyclopts import App

from .reading_commands import add_list, add_show

cluster: App = App(name="cluster", help="List and show clusters.")
add_list(cluster, "clusters", "clusters")
add_show(cluster, "cluster.get_clusters", "cluster")
