// SPDX-License-Identifier: Apache-2.0
#ifndef TITAN_BASE_CLOCK_H
#define TITAN_BASE_CLOCK_H

// Seconds of a monotonic clock, for durations.
double titan_clock_seconds(void);

// Seconds of a processor that the calling thread has had: it stands still where another process has the processor.
double titan_clock_thread_seconds(void);

// Seconds since 1970 (UTC), of the system's clock, which may be set: for dates, not for durations.
double titan_clock_since_1970(void);

// Seconds since this process was started by the system (0 where that cannot be known).
double titan_clock_since_process_start(void);

enum { TITAN_CLOCK_DATE_BYTES = 32 };
// Now, in local time, as "2026-01-31T12:00:00+0100" (ISO 8601).
void titan_clock_date(char text[TITAN_CLOCK_DATE_BYTES]);

#endif
