# Rollouts: the same work for many clients, in waves.

nav-rollouts = Rollouts
rollout-new = New rollout
rollouts-none = There is no rollout yet.
rollouts-none-more = A rollout gives many clients the same work, in waves, and halts by itself when something goes wrong.
rollout-reinstall = Install anew
rollout-failed = { $count } failed
rollout-progress = { $done } of { $all } succeeded
rollout-state-planned = planned
rollout-state-running = running
rollout-state-paused = paused
rollout-state-halted = halted
rollout-state-finished = finished
rollout-state-cancelled = cancelled
rollout-client-waiting = waiting
rollout-client-held = held
rollout-client-queued = queued
rollout-client-running = working
rollout-client-succeeded = succeeded
rollout-client-failed = failed
rollout-client-offline-expired = offline too long
rollout-client-skipped = left out
rollout-client-cancelled = cancelled
rollout-why-failed = { $wave ->
    [0] In all waves
   *[other] In wave { $wave }
}, { $count } of { $of } clients failed; at most { $limit } may.
rollout-why-failed-percent = { $wave ->
    [0] In all waves
   *[other] In wave { $wave }
}, { $count } of { $of } clients failed; at most { $limit } % may.
rollout-why-few = { $wave ->
    [0] In all waves
   *[other] In wave { $wave }
}, only { $count } of { $of } clients succeeded.
rollout-why-nobody = In wave { $wave }, none of the { $of } clients succeeded, so it shows nothing.
rollout-why-pause = Wave { $wave } begins only when somebody resumes the rollout.
rollout-why-person = { $actor } wants it so.
rollout-halted = This rollout was halted
rollout-halted-what = What runs ends by itself; nothing else begins. Look at the causes below; then try again what failed, or resume the rollout.
rollout-paused-what = What runs ends by itself; nothing else begins until somebody resumes it.
rollout-doing-planned = Nobody has started it yet.
rollout-doing-working = { $count ->
    [one] One client is at work.
   *[other] { $count } clients are at work.
}
rollout-doing-window = Waits for its window, which opens { $at }.
rollout-doing-window-far = Waits for its window, which does not open soon.
rollout-doing-soaking = Wave { $count } soaks until { $at }.
rollout-doing-offline = { $count ->
    [0] It goes on in a moment.
    [one] Waits for a client that is offline.
   *[other] Waits for { $count } clients that are offline.
}
rollout-order-start = Start
rollout-order-pause = Pause
rollout-order-resume = Resume
rollout-order-halt = Halt
rollout-order-cancel = Cancel
rollout-order-retry = Try the failed ones again
rollout-waves = Waves
rollout-wave = Wave { $number }
rollout-wave-number = Wave
rollout-wave-late = latecomers
rollout-wave-goes = under way
rollout-wave-done = done
rollout-wave-soaks = soaks
rollout-wave-waits = waits
rollout-wave-stands = stands still
rollout-wave-pause = Here the rollout stops until somebody resumes it
rollout-wave-soaks-until = The next wave begins { $at } at the earliest.
rollout-causes = Why it failed
rollout-rules = Rules
rollout-at-once = At most at the same time
rollout-windows = Windows
rollout-blackouts = Blackouts
rollout-always = at any time
rollout-calendar = by calendar
rollout-history = History
rollout-history-created = Made
rollout-history-started = Started
rollout-history-wave = Wave { $wave } began: { $count ->
    [one] one client
   *[other] { $count } clients
}
rollout-history-settled = Wave { $wave } is good enough: { $count ->
    [one] one client
   *[other] { $count } clients
} succeeded
rollout-history-paused = Paused
rollout-history-resumed = Resumed
rollout-history-halted = Halted
rollout-history-retried = { $count ->
    [one] One client is tried again
   *[other] { $count } clients are tried again
}
rollout-history-finished = Finished
rollout-history-cancelled = Cancelled
rollout-history-latecomers = { $count ->
    [one] One latecomer
   *[other] { $count } latecomers
} in wave { $wave }
rollout-clients = Clients of the rollout
rollout-clients-none = No client is in this state.
rollout-all-states = all
rollout-show = Show
rollout-more = More
rollout-output = Output
rollout-job = Job { $number }
rollout-for-group = for the group
rollout-for-query = for the search
rollout-schedules = Recurring rollouts
rollout-schedule-on = on
rollout-schedule-off = off
rollout-schedule-now = under way
rollout-switch-on = Switch on
rollout-switch-off = Switch off
rollout-next = next
rollout-newest = newest rollout
rollout-what = What
rollout-title = Name
rollout-job-type = Job
rollout-params = Parameters
rollout-params-hint = NAME=VALUE, one in each line, such as packages=firefox-esr
rollout-job-add = One more job behind it
rollout-job-earlier = Earlier
rollout-job-earlier-one = Earlier: job { $number }
rollout-job-without = Without it
rollout-job-without-one = Without it: job { $number }
rollout-params-of-jobs = Which parameters the jobs take
rollout-whom = For whom
rollout-group = Group
rollout-query = Or a search
rollout-names = Or names
rollout-names-hint = The first ones have their turn first.
rollout-latecomers = Who comes later
rollout-late-ignore = is not looked at
rollout-late-last-wave = joins the last wave
rollout-late-new-wave = gets a wave of their own
rollout-how = How carefully
rollout-waves-hint = One in each line: 1, 10%, rest. With time to soak: 10%/1h. With a stop before it: 10%/1h/pause.
rollout-max-failed-percent = Halts when more percent than this fail
rollout-max-failed = Halts when more than this fail in a wave
rollout-min-succeeded = So many percent of a wave must succeed
rollout-min-succeeded-hint = Then it goes on without those that are still offline.
rollout-windows-hint = One in each line: sun 02:00-05:00 or mon-fri 20:00-06:00. Empty: at any time.
rollout-recurring = Anew in each window, each client at most once
rollout-expire-after = Who stays offline for so long is given up
rollout-closed-calendar = Calendar of blackouts (iCalendar)
rollout-approve-start = A second person must approve the start
rollout-approve-pauses = A second person must approve that it goes on at a stop
rollout-show-first = Show it first
rollout-preview = { $count ->
    [one] One client
   *[other] { $count } clients
}
rollout-preview-offline = { $count } of them are offline now
rollout-destroys = This destroys data on these machines.
rollout-left-out = Left out: { $count }.
rollout-needs-approval = A second person has to approve the start.
rollout-start-now = { $count ->
    [one] Start for one client
   *[other] Start for { $count } clients
}
rollout-make = Only make it
rollout-schedule-make = Make it recurring
event-rollout-created = Rollout made
event-rollout-started = Rollout started
event-rollout-paused = Rollout paused
event-rollout-resumed = Rollout resumed
event-rollout-halted = Rollout halted
event-rollout-retried = Rollout tries the failed ones again
event-rollout-finished = Rollout finished
event-rollout-cancelled = Rollout cancelled
event-rollout-scheduled = Recurring rollout made
event-rollout-unscheduled = Recurring rollout removed
event-rollout-schedule-on = Recurring rollout switched on
event-rollout-schedule-off = Recurring rollout switched off
