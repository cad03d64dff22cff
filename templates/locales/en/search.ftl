# Search, list of clients, groups, batches.

search = Search clients
search-go = Search
search-placeholder = Name, address, serial number, or such as health:offline
search-total = { $count ->
    [one] one client
   *[other] { $count } clients
}
search-help = How to search
search-help-words = Plain words are looked for in names, MAC and IP addresses and serial numbers. Fields say more; * stands for anything:
search-help-joined = Everything must hold; or, not and parentheses join it otherwise:
search-field-name = host name
search-field-stage = registered, discovered, installing, installed or retired
search-field-health = ok, warning, critical or offline
search-field-activity = idle, waiting or working
search-field-group = group
search-field-os = the system that runs
search-field-distribution = the distribution that is wanted
search-field-package = an installed package, perhaps with a version
search-field-mac = beginning of a MAC address
search-field-ip = beginning of an IP address, or a network
search-field-model = maker or model
search-field-serial = serial number
search-field-memory = memory
search-field-disk = the largest disk
search-field-threads = processor threads
search-field-seen = last heard less than … ago; seen:never: never
search-field-added = added less than … ago
search-field-failed = a job failed less than … ago
search-filters = Saved searches
search-filters-none = No search is saved yet.
search-filter-keep = Save this search as
search-filter-save = Save
search-filter-share = Everybody sees it
search-filter-shared = for everybody
search-filter-of = by { $owner }
search-filter-forget = Delete
search-filter-delete = Delete the saved search { $name }
search-columns = Columns
search-columns-show = Show
search-pages = Pages of the list
search-previous = Previous page
search-nothing-asked = The search could not be read.
search-fault-place = At character { $place }.
search-fault-possible = Possible:
search-fault-unknown-field = There is no field “{ $found }”.
search-fault-unknown-value = This field has no value “{ $found }”.
search-fault-missing-value = A value is missing after “{ $found }”.
search-fault-no-size = “{ $found }” is no size.
search-fault-no-number = “{ $found }” is no number.
search-fault-no-age = “{ $found }” is no time span.
search-fault-no-address = “{ $found }” is neither an address nor the beginning of one.
search-fault-no-package = “{ $found }” is no package, with or without a version.
search-fault-not-comparable = “{ $found }” cannot be compared by less or more.
search-fault-open-quote = A quotation mark is not closed.
search-fault-open-parenthesis = A parenthesis is not closed.
search-fault-missing-test = Something is missing after “{ $found }”.
search-fault-unexpected = “{ $found }” cannot stand here.
search-fault-too-large = The search is too long or too deep.
list-name = Name
list-stage = Stage
list-activity = Activity
list-health = Health
list-group = Groups
list-os = System
list-distribution = Distribution
list-model = Model
list-serial = Serial number
list-mac = MAC addresses
list-ip = IP addresses
list-memory = Memory
list-disk = Largest disk
list-threads = Threads
list-updates = Updates
list-agent = Agent
list-seen = Last heard
list-added = Added
nav-groups = Groups
groups-none = There are no groups yet.
groups-none-more = A group holds clients together, by name or by a search.
group-members = Members
group-named = by name
group-named-more = Its members are named. Put clients in or take them out in the list of clients.
group-description = What for
group-change = Change
group-change-one = Change group { $name }
group-new = New group
group-query = Search that finds its members
group-query-hint = Left empty, members are named. Otherwise every client belongs to it that the search means at the moment.
group-make = Make the group
group-save = Save
group-show = Show its clients
group-delete = Delete the group
group-delete-more = The group goes, its clients stay.
event-group-changed = Group changed
event-batch-ordered = Batch ordered
event-client-woken = Woken
batches = Batches
batches-none = There were no batches yet.
batches-none-more = Choose several clients in their list, and what is to happen with them.
batch-for = For
batch-chosen = chosen ones
batch-all = { $count ->
    [one] the one that the search means
   *[other] all { $count } that the search means
}
batch-action = Order
batch-preview = Preview
batch-choose = Choice
batch-choose-one = Choose { $name }
batch-install = Install
batch-redo = Install anew
batch-reboot = Restart
batch-wake = Wake on LAN
batch-retire = Retire
batch-rescue = Boot the rescue system
batch-package-install = Install packages
batch-package-remove = Remove packages
batch-package-upgrade = Upgrade all packages
batch-join-group = Put into a group
batch-leave-group = Take out of a group
batch-what-install = Each is installed as it is configured. Its disks are overwritten.
batch-what-redo = Each is installed anew and restarted for it. Its disks are overwritten.
batch-what-reboot = Each is restarted by its agent as soon as no job runs.
batch-what-wake = Each is sent a wake-up signal over the network.
batch-what-retire = Each loses its identity, its jobs are cancelled. Records stay.
batch-what-rescue = Each boots the rescue system at its next network boot.
batch-what-package-install = Each gets a job that installs the packages; those that are offline catch up later.
batch-what-package-remove = Each gets a job that removes the packages; those that are offline catch up later.
batch-what-package-upgrade = Each gets a job that upgrades all packages; those that are offline catch up later.
batch-what-join-group = Each belongs to the group then.
batch-what-leave-group = None belongs to the group then.
batch-takes-packages = Packages
batch-takes-group = Group
batch-takes-keys = SSH keys
batch-hint-packages = Several are separated by spaces.
batch-hint-group = Small letters, digits and hyphens. A missing group is made.
batch-hint-keys = One a line.
batch-fitting = { $count ->
    [one] For one client
   *[other] For { $count } clients
}
batch-more = and { $count } more
batch-nobody = The order makes sense for none of these clients.
batch-back = Back to the list
batch-skipped = Left out
batch-skip-retired = retired
batch-skip-alarm = stopped by an alarm
batch-skip-not-adopted = not adopted yet
batch-skip-under-way = an installation or rescue is under way
batch-skip-never-installed = never installed
batch-skip-offline = offline
batch-skip-awake = awake already
batch-skip-no-address = without a MAC address
batch-skip-member-already = belongs to it already
batch-skip-no-member = does not belong to it
batch-confirm = To confirm, type the number of clients: { $count }
batch-mistyped = That is not the number.
batch-go = { $count ->
    [one] Do it for one client
   *[other] Do it for { $count } clients
}
batch-under-way = under way
batch-finished = done
batch-failed = { $count } failed
batch-stop = Take the rest back
batch-lines = Not ordered
batch-line-failed = failed
batch-line-skipped = left out
batch-count-done = ordered
batch-count-waiting = to come
batch-count-failed = failed
batch-count-skipped = left out
concern-broken = Installation failed
concern-stuck = Stuck
concern-offline = Offline
concern-alarm-what = stopped until somebody looks
concern-broken-what = an installation did not come to its end
concern-stuck-what = being installed, and silent for more than 15 minutes
concern-failed-what = since yesterday
concern-held-what = jobs wait for acceptance
concern-discovered-what = machines wait for adoption
concern-offline-what = the agent is silent
concern-all = { $count ->
    [one] one
   *[other] all { $count }
}
overview-days = Jobs that ended, 14 days
overview-days-none = No job has ended in the last 14 days.
overview-days-told = { $count } jobs in 14 days, at most { $most } on one day
overview-jobs = { $count ->
    [one] one job
   *[other] { $count } jobs
}
overview-today = today
overview-happened-none = Nothing has happened yet.
