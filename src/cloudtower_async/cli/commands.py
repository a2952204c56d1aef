"""Names and summaries of the commands, so that ``--help`` need not import the commands."""

from __future__ import annotations

COMMANDS = {
    "alert:alert": "List alerts and resolve them.",
    "backup:backup": "Take a snapshot of each VM. With --keep, delete old backups.",
    "call:call": "Call any operation of the API and print its answer as JSON.",
    "cluster:cluster": "List and show clusters.",
    "completion:completion": "Print a completion script for a shell.",
    "dashboard:dashboard": "Show alerts, disks, CPU, memory and storage of the clusters.",
    "disk:disk": "List, add, grow and detach the disks of VMs.",
    "explain:explain": (
        "Explain a resource, a field, an operation or an argument. Needs no server."
    ),
    "exporter:exporter": "Serve metrics of CloudTowers for Prometheus, until SIGTERM or Ctrl-C.",
    "fleet:fleet": "Run a job on many Towers: workers take items from a queue in Redis.",
    "get:get": "Show resources: vms, hosts, vm-snapshots, content-library-images, …",
    "host:host": "List hosts, and put them into maintenance mode.",
    "image:image": "List, upload and delete images of the content library.",
    "label:label": "Label resources, and remove labels from them.",
    "login:login": "Log in, and store the token in a profile for later commands.",
    "login:logout": "Delete a profile and its token. The token stays valid on the server.",
    "metrics:metrics": (
        "Show metrics of VMs, hosts, disks, … as a plot, or as rows for other programs."
    ),
    "profile:profile": "List profiles, and choose the current one.",
    "profile:profiles": (
        "Older form of `profile list`. This form does not mark the current profile."
    ),
    "report:report": "Report unused resources, NIC errors, storage forecasts and expiration dates.",
    "resources_command:resources": (
        "List the kinds of resources, or the columns of one kind. Needs no server."
    ),
    "simulate:simulate": "Serve a simulated CloudTower on this machine, until SIGTERM or Ctrl-C.",
    "snapshot:snapshot": "Take, list, revert to and delete snapshots of VMs.",
    "tasks:task": "List and show tasks, and wait for them.",
    "tasks:tasks": "Older name of task, only with the command wait.",
    "template:template": "List templates, and deploy VMs from them.",
    "top:top": "Rank VMs or hosts by CPU, memory or disk operations.",
    "upload:upload": "Upload a file and show the progress.",
    "vm:vm": "List, start, stop, move, create and delete VMs.",
}
"""Summaries of the commands, by ``module:function``. Each is the first line of the help."""
