//! Who somebody really is: passwords, the second factor, directories, login services. No use cases and no SQL; `app::login` puts them
//! together.

pub mod ldap;
mod mapping;
pub mod oidc;
pub mod password;
pub mod totp;
