#ifndef TITAN_BASE_CLOCK_H
#define TITAN_BASE_CLOCK_H

// Seconds of a monotonic clock, for durations.
double titan_clock_seconds(void);

// Seconds since this process was started by the system (0 where that cannot be known).
double titan_clock_since_process_start(void);

#endif
