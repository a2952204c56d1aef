r"""Back up the VMs whose names start with a prefix, and keep the newest backups.

    CLOUDTOWER_ENDPOINT=… CLOUDTOWER_USERNAME=… CLOUDTOWER_PASSWORD=… \
        python examples/backup_vms.py blog- 7
"""

from __future__ import annotations

import asyncio
import sys

from cloudtower_async import Cloudtower, CloudtowerError
from cloudtower_async.recipes import Progress, backup_vms


def show(news: Progress) -> None:
    print(f"{news.done}/{news.total} {news.subject}: {news.step} {news.fraction:.0%}")


async def main(beginning: str, keep: int) -> int:
    """Back up the VMs, and return the number of failed backups."""
    async with Cloudtower.from_env() as tower:
        backups = await backup_vms(
            tower, {"name_starts_with": beginning}, keep=keep, on_progress=show
        )
    failed = [backup for backup in backups if backup.error is not None]
    for backup in failed:
        print(f"{backup.vm.name}: {backup.error}", file=sys.stderr)
    print(f"{len(backups) - len(failed)} of {len(backups)} VMs backed up")
    return len(failed)


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[2].isdecimal():
        sys.exit(__doc__)
    try:
        sys.exit(1 if asyncio.run(main(sys.argv[1], int(sys.argv[2]))) else 0)
    except CloudtowerError as error:
        sys.exit(str(error))
