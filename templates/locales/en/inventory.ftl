# Packages of clients, and reports by mail.

search-field-updates = packages that could be newer
search-field-security-updates = there are security updates: yes or no
search-field-reboot-needed = wants to be restarted: yes or no

packages-of = Packages on { $name }
packages-compare = Compare
packages-unknown = No list of packages yet
packages-unknown-more = The agent tells of the packages as soon as the installed system runs. An old agent has to be upgraded first.
packages-reboot = A restart is needed
packages-services = These services still run old files and have to be restarted
packages-updates-unknown = Which updates there are is not known
packages-summary = Overview
packages-installed = Installed
packages-told = As of
packages-updates = Updates available
packages-security = Security updates among them
packages-show = show
packages-name = Name contains
packages-only = Only
packages-only-all = All
packages-only-updates = With an update
packages-only-security = With a security update
packages-only-held = Held
packages-only-manual = Installed on purpose
packages-only-automatic = As a dependency
packages-count = { $count ->
    [one] 1 package
   *[other] { $count } packages
}
packages-updates-count = { $count ->
    [0] no updates
    [one] 1 update
   *[other] { $count } updates
}
packages-security-count = { $count ->
    [one] 1 security update
   *[other] { $count } security updates
}
packages-change = Change packages
packages-more = The first 1000 are shown; the CSV file has all.
packages-none = No package fits.
packages-all = Show all packages
packages-update = Update
packages-marks = Marks
packages-security-mark = security
packages-held = held
packages-automatic = as a dependency
packages-history = History
packages-history-none = No changes yet
packages-history-none-more = What is installed, upgraded or removed will stand here, with its time and job.
packages-was = Before
packages-became = After
packages-new = not installed
packages-removed = removed
packages-earlier = Earlier changes
heading-package = Package
heading-architecture = Architecture
heading-updates = Updates
heading-security-updates = Security updates
heading-services = Services to restart
heading-packages = Packages

compare-title = Compare the packages of { $name }
compare-client = With another client
compare-with = Name of the client
compare-time = With an earlier time
compare-at = At the end of the day (UTC)
compare-do = Compare
compare-same = Both have the same packages in the same versions.
compare-alike = { $count ->
    [one] 1 package is alike
   *[other] { $count } packages are alike
}
compare-count = { $count ->
    [one] 1 difference
   *[other] { $count } differences
}
compare-difference = Difference
compare-left = only on { $left }
compare-right = only on { $right }
compare-older = older on { $right }
compare-newer = newer on { $right }
compare-other = another version

report-packages = Packages
report-packages-what = Every installed package in every version, and on how many clients it is.
report-packages-none = No agent has told of its packages yet.

report-mails = Reports by mail
report-mails-list = Regular reports
report-mails-none = No report is sent yet
report-mails-none-more = Say below which report goes when to whom. It comes as a text with its table as a CSV file.
report-mail-new = New regular report
report-mail-name-hint = Small letters, digits and hyphens
report-mail-this = Send regularly
report-mail-report = Report
report-mail-days = Days
report-mail-days-hint = From when something counts as overdue; empty: as usual in the report
report-mail-every = How often
report-mail-daily = daily
report-mail-weekly = weekly
report-mail-monthly = monthly
report-mail-weekday = Day of the week
report-mail-weekday-hint = for weekly reports
report-mail-day = Day of the month
report-mail-day-hint = for monthly reports; 31 is always the last
report-mail-time = Time of the day
report-mail-when-empty = Send it also when there is nothing in it
report-mail-enabled = Send it
report-mail-create = Create
report-mail-edit = What is sent
report-mail-save = Save
report-mail-saved = Saved.
report-mail-send = Send now
report-mail-sent-now = The mail server has taken the report.
report-mail-next = Next sending
report-mail-sendings = Sendings so far
report-mail-sendings-none = Nothing has been sent yet.
report-mail-period = Due
report-mail-rows = Rows
report-mail-ended = Ended
report-mail-delete = Send it no more
sending-waiting = waits
sending-sending = is being sent
sending-sent = sent
sending-given-up = given up
sending-unknown = uncertain
weekday-1 = Monday
weekday-2 = Tuesday
weekday-3 = Wednesday
weekday-4 = Thursday
weekday-5 = Friday
weekday-6 = Saturday
weekday-7 = Sunday
report-mail-made = Made { $at }, { $count ->
    [one] 1 row
   *[other] { $count } rows
}; complete in the attached CSV file.
report-mail-left-out = … and { $count } more, see the attached file.
report-mail-where = Now at { $server }/reports/{ $report }
report-mail-why = You get this mail because your address stands in the regular report "{ $name }".

action-report-mail-create = Report mail created
action-report-mail-change = Report mail changed
action-report-mail-delete = Report mail removed
action-report-mail-send = Report sent by hand
packages-pins = Pins
packages-pins-none = apt chooses the newest version: nothing is pinned here.
packages-pin = Pin
packages-pin-more = Tells apt which version of a package it is to choose, or from where. Nothing is installed by that. From 1001 on also an older version, below 0 never.
packages-pin-by = By
packages-pin-version = version
packages-pin-origin = origin (host of the archive)
packages-pin-release = release
packages-pin-word = Which
packages-pin-priority = Priority
packages-pin-theirs = not by Lotse
packages-unpin = Unpin
