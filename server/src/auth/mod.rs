//! Who somebody really is: passwords, the second factor, directories. No use cases and no SQL; `app::login` puts them together.

pub mod ldap;
pub mod password;
pub mod totp;
