# Machines that come, and what becomes of them.

nav-discovered = New machines
nav-jobs = Jobs
edit = Edit
save = Save
delete = Delete
done = Done
choose = Choose
actions = Actions
client = Client
by = By
older = Older
answers = The three answers
stage-registered-what = Known, but never started.
stage-discovered-what = Has announced itself and is measured.
stage-installing-what = An installation is under way.
stage-installing-last = All jobs have succeeded. The machine now starts its new system and reports in a moment.
stage-installed-what = Its system runs with our agent.
stage-retired-what = Out of service; its records stay.
seen-never = Its agent was never heard.
waits = Waits
waits-held = Held: { $text }
waits-alarm = Stopped by an alarm: { $text }
waits-needs = Waits for job { $job } ({ $type }), which { $state ->
    [held] is held
    [queued] waits itself
    [running] is running
    [failed] has failed
    [cancelled] was cancelled
   *[expired] has expired
}
waits-running = Waits for job { $job } ({ $type }), which is running
waits-until = Waits until { $at }
waits-before = Waits for job { $job } ({ $type }), which comes first
waits-never-seen = The machine has never been seen: switch it on and let it boot over the network
waits-offline = The machine is offline since { $at }
waits-installer = Waits for the installer. If the machine is not restarting by itself already, restart it and let it boot over the network
waits-system = Waits for the installed system to start
waits-next-poll = Goes to the agent at once
waits-told = { $text }
expect-nothing = a DHCP request or a boot program
expect-nothing-cause = The machine is off, boots from another device first, or its network port does not reach this server.
expect-nothing-remedy = Switch the machine on with network boot (PXE) first in its boot order; check cable, VLAN and, on another network, the DHCP relay.
expect-dhcp = the boot program by TFTP
expect-dhcp-cause = TFTP does not reach the server, or the DHCP answer names another boot server.
expect-dhcp-remedy = Open UDP port 69 between machine and server; look for a second DHCP server that sends a boot file.
expect-tftp = the boot program asking for its script
expect-tftp-cause = The boot program has no driver for the network card, Secure Boot refused it, or the HTTP port is filtered.
expect-tftp-remedy = Look at the machine's screen; with Secure Boot on, run lotse pxe dnsmasq --secure-boot; open the HTTP port of the server.
expect-script = the kernel
expect-script-cause = The decision was to boot the local disk, or the transfer broke off.
expect-script-remedy = When the machine should be installed, order the installation and restart it.
expect-kernel = the initramfs
expect-kernel-cause = The transfer broke off.
expect-kernel-remedy = Restart the machine; look for packet loss.
expect-initramfs = the agent asking for the server's certificate
expect-initramfs-cause = The kernel has no driver for the network card, the machine has less than 1 GiB of memory, or the agent gets no address.
expect-initramfs-remedy = Look at the machine's screen: the installer says there what it waits for.
expect-searched = the agent announcing the machine
expect-searched-cause = The agent does not trust this server (other CA), or HTTPS is filtered.
expect-searched-remedy = Compare the CA fingerprint on the screen with lotse ca; open the HTTPS ports of the server.
expect-trust = the agent announcing the machine
expect-trust-cause = The agent does not trust this server (other CA), or HTTPS is filtered.
expect-trust-remedy = Compare the CA fingerprint on the screen with lotse ca; open the HTTPS ports of the server.
expect-announced = an admin adopting the machine
expect-announced-cause = Nobody has adopted it yet.
expect-announced-remedy = Compare the fingerprint on the screen and press Adopt.
expect-adopted = the agent fetching its identity
expect-adopted-cause = The machine was switched off before it was adopted, or HTTPS is filtered.
expect-adopted-remedy = Look at the machine's screen, and restart it over the network.
expect-enrolled = the agent asking for work
expect-enrolled-cause = The agent cannot reach the port for agents.
expect-enrolled-remedy = Open the port for agents between machine and server.
expect-refused = a new start of the machine
expect-refused-cause = { $cause }
expect-refused-remedy = The line above says why; mend it and restart the machine.

jobs-all = All jobs of this client
jobs-show-all = Show all jobs
jobs-none-match = No job fits.
client-unknown = There is no client { $name }.
job-type = Type
cause = Cause contains
job-accept = Accept
job-hold = Hold
job-cancel = Cancel
job-retry = Try again
job-release = End the rescue
job-plan = What it does
job-about = About this job
job-destructive = This job destroys data; its plan says which.
step-script = Show the script
step-done = done
step-now = running
step-failed = failed
finished = Ended
needs = Needs first
params = Parameters
attempts = Attempts
attempts-none = No attempt yet.
attempt = Attempt { $number }
attempt-running = running
attempt-succeeded = succeeded
attempt-failed = failed
attempt-refused = not begun
attempt-cancelled = cancelled
attempt-lost = lost: nothing was heard of the machine any more
history = History
history-none = Nothing has happened yet.

measured = Measured
reboot-wanted = The system wants to be restarted.
card = Network card { $name }
card-linked = linked
card-unlinked = no cable
card-booted = booted from here
disks-none = The machine has no disk.
disk-blank = The disk is blank.
file-system = File system
file-system-size = Size
file-system-free = Free
file-system-used = Used
users = Users
packages = Packages
packages-names = Names of packages, with spaces between them
packages-install = Install
packages-remove = Remove
packages-upgrade = Upgrade all
notes = Notes
notes-none = No note yet.
note-new = New note
note-add = Keep the note
note-delete = delete
danger = Interventions
danger-what = Each one shows first what it does.
order-jobs = These jobs are queued
order-restart = Restart
order-restart-what = The agent restarts the machine. Whoever works on it loses what is not saved.
order-redo = Install anew
order-redo-what = { $name } is installed as it was the first time; what is on its disks is lost.
order-recover = Recover
order-recover-what = { $name } is installed anew; then everything is done again that has succeeded since, such as installed packages. It does not bring back the users' data.
order-rescue = Rescue system
order-rescue-what = At its next boot over the network, { $name } opens SSH for your keys. Nothing on the disks is touched.
order-release = End the rescue
order-release-what = { $name } leaves the rescue system and goes on working.
order-wipe = Wipe a disk
order-wipe-what = A disk of { $name } is wiped. There is no way back.
order-reset = Reset
order-reset-what = Everything that waits or runs for { $name } is cancelled, so that it can begin anew. Its disks stay as they are.
order-retire = Retire
order-retire-what = The agent of { $name } is let in no more, and its jobs are cancelled. Its records stay; it can be taken back into service.
order-reinstate = Take back into service
order-reinstate-what = { $name } gets a new identity at its next boot.
order-clear-alarm = Clear the alarm
order-clear-alarm-what = Only when it is clear how it came about. { $name } may work again then; restart it.
order-enrol = Enrol an installed system
order-enrol-what = For a system that is installed already: you get a command that enrols it as { $name }. It works once, within an hour.
order-user-data = User-data for a cloud
order-user-data-what = For a machine in a cloud: you get the text by which it finds this server and becomes { $name }. It lets one machine in, within a day.
shown-user-data = The user-data
shown-user-data-what = Give it to the cloud as it is, neither encoded nor wrapped. It holds a token and is shown only now.
order-delete = Delete the client
order-delete-what = { $name } is deleted with its jobs, notes and history. The machine itself stays as it is.
shown-enrol = The command
shown-enrol-what = Run it as root on the machine. The agent's package must be installed there. It is shown only now.
rescue-keys = Public SSH keys, one a line
rescue-keys-hint = Yours is probably in ~/.ssh/id_ed25519.pub.
wipe-disk = Disk
wipe-unknown = Its disks are not known yet: serial number or device node.
wipe-method = How thoroughly
wipe-signatures = Table and signatures (seconds)
wipe-discard = Discard everything (SSD)
wipe-zero = Overwrite everything with zeros (hours)

add-title = Add a client
add-install = Add and install
add-enrol = Add; its system is installed already
add-how = The machine boots over the network or from the Lotse ISO. When its system is installed already, you get a command to enrol it instead.
edit-title = Edit { $name }
edit-what = Counts from the next installation on; name and groups count at once.
mac = Hardware address
mac-hint = On the case or in the firmware, such as 52:54:00:12:34:56.
password-hint = At least 8 characters. Without a password, only SSH keys let in.
password-stays = Leave it empty to keep it.
form-faults = { $count ->
    [one] One field is not right yet.
   *[other] { $count } fields are not right yet.
}
part-language = Language and time
part-users = Users and login
part-more = More
ntp-hint = Empty: those of the distribution.
network-how = Address
network-dhcp = automatic (DHCP)
network-static = fixed
address = Fixed address
gateway = Gateway
nameservers = Name servers
full-name = Full name of the user
directory-uris = LDAP servers
directory-base = LDAP base
directory-schema = LDAP schema
directory-ca = Certificate of the LDAP CA (PEM)
home-export = Home directories (NFS)
home-options = NFS options
machine-desktop = Desktop
machine-desktop-none = None
machine-desktop-use = Used
machine-desktop-screen = Before the screen
printers = Printers, one a line
printers-hint = Name and address, such as: office ipp://10.0.0.9/ipp/print
base-how = Base system
base-image = finished image (fast)
base-debootstrap = from packages
preset = Preset
preset-none = no preset
preset-take = Take
preset-keep = Keep these values as a preset
preset-name = Name of the preset
preset-save = Save as preset
preset-kept = The preset { $name } is kept.
preset-delete = Delete the preset { $name }
as-preset = as in the preset
fault-compared = Compare the fingerprint first.
fault-mac = A hardware address is needed, such as 52:54:00:12:34:56.
fault-locale = A UTF-8 locale, such as de_DE.UTF-8.
fault-keyboard = A keyboard layout, such as de.
fault-timezone = A time zone, such as Europe/Berlin.
fault-domain = A DNS domain, such as school.example.
fault-proxy = A URL such as http://proxy:3128, without a password.
fault-ntp = A host name or an address.
fault-nameservers = Addresses such as 10.0.0.1.
fault-purchased-on = A date such as 2024-09-30.
purchased-on = Bought on
fault-serial-console = A console such as ttyS0,115200.
fault-ssh-keys = One public key a line, such as ssh-ed25519 AAAA… name.
fault-full-name = Must not contain any of : , ' \
fault-directory-uris = A URI such as ldap://ldap.school.example.
fault-directory-base = A name such as dc=school,dc=example.
fault-directory-ca = A certificate as PEM, with its BEGIN and END lines.
fault-home-export = SERVER:/PATH, such as files.school.example:/export/home.
fault-home-options = Options such as vers=4.2,sec=sys.
fault-printers = A name and a URI in each line, such as office ipp://10.0.0.9/ipp/print.
fault-rule-serial = At least one of serial number, hardware address, network and model is needed.
fault-rule-mac = The beginning of a hardware address, such as 52:54:00.
fault-rule-subnet = A network such as 10.0.3.0/24.
fault-rule-names = A pattern such as pc-{"{"}001..{"}"}, lab-{"{"}serial{"}"} or lab-{"{"}mac{"}"}.
fault-rule-name = Small letters, digits and hyphens.
fault-rule-wipe = Says nothing without “install at once”.

discovered-none = No machine waits just now.
discovered-none-more = Switch on a machine with network boot (PXE): it appears here by itself.
discovered-orders = Refused ones do not come again; forgotten ones announce themselves at their next start.
fingerprint-short = Fingerprint
serial = Serial number
model = Model
adopt-chosen = Adopt and install the chosen
discovered-refuse = Refuse
forget = Forget
strangers = On their way, not arrived
strangers-what = These addresses have fetched something from the server and not announced themselves.
rules = Rules
rules-what = A machine that announces itself is adopted by the first rule that fits, without anybody comparing its fingerprint. So whoever pretends a fitting serial number or address on the same network would be let in.
rules-none = There is no rule yet.
rules-none-more = With a rule, new machines only need to be switched on.
rules-hits = What would happen to the machines that wait now
rules-follow = Follow the rules now
rule-fits = Rule { $rule } fits
rule-fits-which = Which machines
rule-becomes = What becomes of them
rule-does = What happens
rule-adopts = adopt
rule-installs = adopt and install
rule-wipes = install, even if data is lost
rule-new = New rule
rule-change = Change rule { $name }
rule-name = Name of the rule
rule-name-hint = Small letters, digits and hyphens.
rule-position = Order
rule-position-hint = Lower numbers first.
rule-mac = Beginning of the hardware address
rule-install = Install at once when the disks are blank
rule-wipe = Install also when something is on the disks: it is destroyed without anybody being asked

mass-title = Install many
mass-what = Paste, check, go: nothing begins before every row is right.
mass-sheet = Table
mass-sheet-hint = Copied from a spreadsheet, or CSV. First line: name, mac, serial, address, gateway, groups, distribution, layout, user, full_name, password.
mass-file = Or as a file
mass-gaps = What the table leaves out
mass-values = Other values
mass-values-usual = the usual ones
mass-values-keep = what is known stays
mass-names = Names by pattern
mass-names-hint = pc-{"{"}001..{"}"} counts on; also lab-{"{"}serial{"}"} and lab-{"{"}mac{"}"}.
mass-addresses = Fixed addresses from
mass-addresses-hint = 10.0.0.10-10.0.0.99/24; empty: DHCP. Those in use are left out.
mass-passwords = Make passwords; they are shown once afterwards
mass-install = Install (otherwise only register or adopt)
mass-check = Check and look
mass-again = Check again
mass-back = Back to the table
mass-ready = { $count ->
    [one] One machine is ready.
   *[other] All { $count } machines are ready.
}
mass-wrong = { $count ->
    [0] Something is not right yet.
    [one] One row is not right yet.
   *[other] { $count } rows are not right yet.
}
mass-wrong-remedy = Change it here and check again. Nothing begins until then.
mass-wipe = { $count ->
    [0] Disks may be wiped even when something is on them.
    [one] Something is on the disks of one machine. I agree that it is destroyed.
   *[other] Something is on the disks of { $count } machines. I agree that it is destroyed.
}
mass-trusted = These machines are mine: I have compared their fingerprints, or trust the network.
mass-start = { $count ->
    [one] Install this machine
   *[other] Install all { $count }
}
mass-register = { $count ->
    [one] Register this machine
   *[other] Register all { $count }
}
mass-does = What happens
mass-work-adopt = is adopted
mass-work-change = is changed
mass-work-under-way = installation is under way
mass-unknown = Not seen yet: its disks are planned when it appears.
mass-jobs = { $count } jobs
mass-done = { $count ->
    [one] One machine is begun.
   *[other] { $count } machines are begun.
}
mass-passwords-once = The passwords are only here: print or save this page now.
mass-watch = Watch the installation
mass-column-name = Name
mass-column-mac = Hardware address
mass-column-serial = Serial number
mass-column-address = Address
mass-column-gateway = Gateway
mass-column-groups = Groups
mass-column-distribution = Distribution
mass-column-layout = Layout
mass-column-user = User
mass-column-full-name = Full name
mass-column-password = Password
mass-column-fingerprint = Fingerprint
mass-work-register = is registered
event-client-noted = Note
event-client-note-deleted = Note deleted
event-client-mass-installation = Many machines begun
event-client-retired = Retired
event-client-reinstated = Back in service
event-client-boot = Booted
event-preset-changed = Preset changed
event-preset-deleted = Preset deleted
event-rule-changed = Rule changed
event-rule-deleted = Rule deleted
event-rule-failed = Rule not followed
event-rule-held-back = Not installed by itself
event-rule-followed = Rule followed
