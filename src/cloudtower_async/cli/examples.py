"""Examples for the help pages of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .language import tr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cyclopts import App

EXAMPLES: dict[str, tuple[str, ...]] = {
    "alert list": ("--where ended=false", "--where severity=CRITICAL -o json"),
    "alert resolve": ("cm4x0k2v5000108jq2k5w3h7d", "--where cluster.name=prod --dry-run"),
    "backup": ("web-1 web-2 --keep 7", "--where name_starts_with=db --prefix nightly --keep 7"),
    "call": (
        "get-vms '{\"first\": 1}'",
        'start-vm \'{"where": {"name": "web-1"}}\' --wait',
        "create-vm @vm.json --dry-run",
    ),
    "cluster list": ("", "-o wide"),
    "cluster show": ("prod",),
    "completion": ("bash", "zsh", "fish"),
    "dashboard": ("", "--cluster prod", "--demo"),
    "disk add": ("web-1 --size 40GiB", "web-1 --volume data-1"),
    "disk detach": ("web-1 data-1",),
    "disk grow": ("web-1 data-1 --size 80GiB",),
    "disk list": ("web-1",),
    "explain": ("vm", "vm.memory", "vm start", "create-vm.vm_disks"),
    "exporter hash-password": ("prometheus",),
    "exporter": ("--profiles all", "--port 9100"),
    "fleet run": ("nightly:job --profiles all --run 2026-01-31",),
    "fleet status": ("",),
    "fleet worker": ("nightly:job --concurrency 50",),
    "get": (
        "vms --where status=RUNNING --where cluster.name=prod",
        "vms --columns name,memory,host.name --sort memory:desc --limit 10",
        "hosts --profiles all",
        "tasks --where status=EXECUTING --watch",
    ),
    "host list": ("", "--sort memory:desc"),
    "host maintenance enter": ("node-1", "node-1 --stop-vms --dry-run"),
    "host maintenance exit": ("node-1",),
    "host show": ("node-1",),
    "image delete": ("debian.iso", "--where name_starts_with=old- --dry-run"),
    "image list": ("--sort size:desc",),
    "image upload": ("debian.iso --cluster prod",),
    "label add": ("tier=web web-1 web-2", "tier=db --where name_starts_with=db"),
    "label list": ("--where key=tier",),
    "label remove": ("tier=web web-1",),
    "login": ("", "--profile lab --endpoint lab.example", "--token-stdin < token.txt"),
    "logout": ("", "--profile lab"),
    "metrics": (
        "vm web-1 --metric elf_vm_cpu_overall_usage_percent --range 6h",
        "host node-1 --metric host_memory_usage_percent -o csv",
        "vm --list disk iops",
    ),
    "profile current": ("",),
    "profile list": ("",),
    "profile show": ("", "prod"),
    "profile use": ("prod",),
    "profiles": ("",),
    "report capacity": ("", "--cluster prod"),
    "report expiry": ("--within 90",),
    "report nic-errors": ("--range 24h",),
    "report orphans": ("", "-o csv"),
    "report top": ("elf_vm_cpu_overall_usage_percent -n 20",),
    "resources": ("", "vm"),
    "simulate": ("", "--preset fast --settle-delay 5 --faults 0.05"),
    "snapshot create": ("web-1 --name before-upgrade", "--where name_starts_with=web --quiesce"),
    "snapshot delete": ("before-upgrade --vm web-1",),
    "snapshot list": ("--where vm.name=web-1",),
    "snapshot revert": ("before-upgrade --vm web-1",),
    "task list": ("--where status=EXECUTING",),
    "task show": ("cm4x0k2v5000108jq2k5w3h7d",),
    "task wait": ("cm4x0k2v5000108jq2k5w3h7d --timeout 600",),
    "tasks wait": ("cm4x0k2v5000108jq2k5w3h7d --timeout 600",),
    "template deploy": ("debian-12 web-3 web-4 --cluster prod --start",),
    "template list": ("",),
    "top": ("vms", "hosts --by memory --limit 5"),
    "upload": ("debian.iso --cluster prod",),
    "vm clone": ("web-1 web-2", "web-1 web-2 --full-copy --start"),
    "vm console": ("web-1",),
    "vm create": (
        "web-5 --cluster prod --vcpu 4 --memory 8GiB --disk 40GiB --network lan --start",
    ),
    "vm delete": ("web-5", "--where name_starts_with=test- --dry-run"),
    "vm list": ("--where status=RUNNING", "--sort memory:desc", "--watch"),
    "vm migrate": ("web-1", "web-1 --to node-2"),
    "vm restart": ("web-1",),
    "vm resize": ("web-1 --vcpu 8 --memory 16GiB",),
    "vm resume": ("web-1",),
    "vm show": ("web-1", "web-1 -o yaml"),
    "vm start": ("web-1 web-2", "--where cluster.name=lab"),
    "vm stop": ("web-1", "web-1 --force-after 2m", "--where cluster.name=lab --yes"),
    "vm suspend": ("web-1",),
}
"""Arguments of the examples of each command, by command."""


def add_examples(app: App, arguments: Sequence[str]) -> None:
    """Add examples to the help page of the command that the arguments name."""
    words = [argument for argument in arguments if argument not in app.help_flags]
    chain, apps, _ = app.parse_commands(words)
    path = " ".join(chain)
    names = [path] if path in EXAMPLES else [name for name in EXAMPLES if _within(name, path)]
    lines = [
        f"    $ cloudtower-async {name} {typed}".rstrip()
        for name in names
        for typed in EXAMPLES[name][: None if name == path else 1]
    ]
    if lines:
        shared = app.help_epilogue or ""
        apps[-1].help_epilogue = "\n".join([tr("Examples:"), "", *lines, "", shared])


def _within(name: str, path: str) -> bool:
    return bool(path) and name.startswith(f"{path} ")
