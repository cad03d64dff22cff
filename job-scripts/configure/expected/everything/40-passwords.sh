# Lines of name:hash, hashed by the server; they are in no plan and no log.
printf '%s\n' "$USER_PASSWORDS" | chpasswd -e
