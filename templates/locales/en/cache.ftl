# The package cache.
nav-package-cache = Package cache
cache-what = Installers and clients take their packages through this server. It fetches each file once, checks it against the signed indices, and keeps it. Counts are since the server started.
cache-offline = offline
cache-offline-now = No mirror is asked.
cache-offline-more = Clients get what lies here. The setting “Offline” ends that.
cache-removed = { $count ->
    [0] Nothing was removed.
    [one] 1 file was removed.
   *[other] { $count } files were removed.
  }
cache-of-limit = of at most { $limit }
cache-files = files
cache-free = free on the disk
cache-mirror-well = well
cache-mirror-down = down
cache-mirror-unfit = gives wrong files
cache-mirror-keyless = no keyring
cache-mirror-unasked = not asked yet
cache-since = since
cache-signed = signed
cache-counts = { $asked ->
    [one] 1 request, { $share } % from the cache
   *[other] { $asked } requests, { $share } % from the cache
  }
cache-traffic = { $served } to clients, { $fetched } from the mirror
cache-refused = { $count } not passed on
cache-remedy-down = Look at the network and proxy of the server's host, or name another mirror in `mirrors`. Until then clients get what lies here.
cache-remedy-unfit = Try again in a few minutes: a mirror in the middle of an update looks the same. If it stays so, name another mirror in `mirrors`. Clients got none of it as a whole file.
cache-remedy-keyless = Install the distribution's keyring on the server, or name one: `cache-keyrings = ["{ $name }=FILE"]`. Until then nothing of this mirror is passed on.
cache-stored = What lies here
cache-shown = the last used { $shown } of { $found }
cache-search = Mirror or path
cache-none = Nothing yet
cache-none-more = The first client that installs something fills it.
cache-none-found = No file has this in its name.
cache-file = File
cache-used = Last used
cache-nameless = not asked for since the restart
cache-clean = Make room
cache-clean-what = Room is made by itself: what was not used for longest goes first. Here you remove more at once; clients that want it again get it from the mirror.
cache-clean-days = Not used for so many days
cache-clean-hint = 0 removes everything that nobody reads now.
cache-clean-now = Remove
event-mirror-unfit = Mirror gives wrong files
event-mirror-down = Mirror down
event-mirror-back = Mirror back
event-cache-cleaned = Package cache cleaned
settings-cache = Package cache
setting-cache-offline = Offline
setting-cache-offline-more = “on”: no mirror is asked for anything; clients get what lies in the package cache.
setting-cache-limit-gib = Size in GiB
setting-cache-limit-gib-more = When the package cache becomes larger, what was not used for longest goes.
word-on = on
word-off = off
found-mirror-down = { $why }; clients get what lies in the package cache
remedy-mirror-down = Look at the network and proxy of the server's host, or name another mirror in `mirrors`.
found-mirror-unfit = gives wrong files: { $path } { $why }
remedy-mirror-unfit = Try again in a few minutes: a mirror in the middle of an update looks the same. If it stays so, name another mirror in `mirrors`.
found-mirror-keyless = cannot be verified: no keyring is there, so nothing is passed on
remedy-mirror-keyless = Install the distribution's keyring on the server, or name one in `cache-keyrings`.
found-mirror-offline = is not asked: the package cache is offline
remedy-mirror-offline = Set “Offline” of the package cache to “off” when the mirror shall be asked again.
