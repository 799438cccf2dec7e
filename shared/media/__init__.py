"""Pure functions over local files and byte sources: no asyncio, no network, no tasks. The only home of `av`."""
