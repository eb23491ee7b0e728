/** How long a long-poll waits: the suite sits some of them out. */
export const LONG_POLL_MS = 2_000

/** Arguments of the server that the suite runs against. */
export const options = ["--long-poll-timeout-ms", String(LONG_POLL_MS)]
