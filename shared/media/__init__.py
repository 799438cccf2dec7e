"""Pure functions over local files and byte sources: no asyncio, no network, no tasks. The only home of `av`."""

from shared.media.system_lame import prefer_system_lame

prefer_system_lame()  # here, because it must come before the first `import av`
