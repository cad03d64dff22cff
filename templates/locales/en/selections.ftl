# Selections of packages, packages of one client chosen and previewed, jobs that are carried out together.

nav-selections = Selections
search-field-selection = a selection of packages that it has by its groups
search-field-drift = differs from its selections: yes or no

selections-none = There are no selections yet
selections-none-more = A selection names packages that are to be on clients and such that are not. Give it to a group, and each member gets it.
selection-new = New selection
selection-make = Make the selection
selection-import = Import
selection-yaml = Text of the file
selection-import-more = As exported here. One of the same name gets its next revision.
selection-import-do = Import
selection-export = Export
selection-order = Order
selection-order-hint = Lower first, where a client has several
selection-install = Packages to install
selection-install-hint = One in a line, with =version if wanted
selection-remove = Packages to remove
selection-purge = Remove with configuration
selection-answers = Answers to questions of packages
selection-answers-hint = One in a line: package question type answer. The answer of a password is secret:NAME.
selection-contents = Contents
selection-save = Save as next revision
selection-change-more = Clients that have it are not changed by this: they differ from then on, and are brought to it on request.
selection-revision = Revision { $number }
selection-revisions = Revisions
selection-drifting = Clients that differ
selection-differs = Differs in
selection-no-drift = No client is known to differ
selection-unknown = Not known
selection-unknown-more = Their agents have not told of packages yet
selection-show-clients = show
selection-show-drifting = show in the list of clients
selection-repair = Bring to it
selection-repair-many = Many at once: choose the clients in the list and bring them to selection { $name }, or start a rollout with it.
selection-groups-more = Each member gets the job for this selection once, and so does whoever joins later or is installed into the group. Nothing is removed when a client leaves the group.
selection-groups-none = No group has it.
selection-attach = Give it to a group
selection-attach-do = Give
selection-detach = take away
selection-delete = Remove the selection
selection-delete-more = What is installed on clients stays.
selections-of-client = Selections
selections-of-client-as = as it is to be
drift-missing = { $package } is missing
drift-other-version = { $package }: there is { $present }
drift-held-back = { $package } is held at { $present }
drift-unwanted = { $package } { $present } is not to be there
compare-selection = With a selection
compare-selection-name = Selection
compare-selection-as = { $client } is as { $selection } wants it
compare-selection-differs = { $client } differs from { $selection }

event-selection-created = Selection made
event-selection-changed = Selection changed
event-selection-deleted = Selection removed
event-selection-attached = Selection given to a group
event-selection-detached = Selection taken from a group

job-joined = Carried out together
job-joined-to = Within the run of job
job-joined-with = Together with jobs

package-change = Choose packages
package-change-title = Choose packages for { $name }
package-change-found = Packages
package-change-search-first = Search for a name, or choose "With an update".
package-change-as = With those that are ticked:
package-change-update = Update
package-change-remove = Remove
package-change-hold = Hold
package-change-unhold = Release
package-change-pin = Pin at this version
package-change-pick = Choose { $name }
package-change-chosen = Chosen
package-change-install = To install or update
package-change-install-hint = Names with spaces between them; name=version brings exactly that version, an older one as well
package-change-to-remove = To remove
package-change-to-hold = To hold at their version
package-change-to-unhold = To release
package-change-allowed = Allowed
package-change-removals = Other packages may be removed
package-change-downgrades = Older versions may come
package-change-held = Held packages may be changed
package-change-preview = Preview
package-change-preview-more = Nothing is changed yet: the client's package manager says what it would do.
package-preview-title = Preview for { $name }
package-preview-waits = The client has not answered yet
package-preview-look = Look again
package-preview-failed = The package manager refuses this
package-preview-nothing = Nothing would change
package-preview-count = { $count ->
    [one] 1 change
   *[other] { $count } changes
}
package-preview-sizes = { $fetched } to fetch
package-preview-more-disk = { $size } more on the disk
package-preview-less-disk = { $size } less on the disk
package-preview-change = Change
package-preview-before = Before
package-preview-after = After
package-preview-install = install
package-preview-upgrade = update
package-preview-downgrade = older version
package-preview-reinstall = install again
package-preview-remove = remove
package-preview-purge = remove with configuration
package-preview-unknown = other
package-preview-needed = needed by others
package-preview-unasked = nobody asked for that
package-preview-allow-removals = Yes, remove these as well: { $names }
package-preview-allow-downgrades = Yes, go back to older versions: { $names }
package-preview-accept = Do exactly this
package-preview-accept-more = When the client would change anything else by then, it changes nothing.
package-preview-back = Change the choice
package-preview-job = Job

action-selection-create = Selection made
action-selection-change = Selection changed
action-selection-delete = Selection removed
action-selection-attach = Selection given to a group
action-selection-detach = Selection taken from a group

batch-apply-selection = Bring to a selection of packages
batch-what-apply-selection = Each gets a job that applies the selection; those that are offline catch up later.
batch-takes-selection = Selection
batch-hint-selection = Its name.
