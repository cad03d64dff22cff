# Written by Lotse.
http_proxy=http://proxy.school.example:3128
https_proxy=http://proxy.school.example:3128
no_proxy=localhost,127.0.0.1,::1,lotse.example
export http_proxy https_proxy no_proxy
