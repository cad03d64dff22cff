//! Enrolment tokens and agents' certificates.

use wire::{ClientId, Mac, Sha256, enrol::Realm};

use super::{Error, Tx, args};

/// An enrolment token as it is stored: never the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolToken {
    /// For which client.
    pub client: ClientId,
    /// The only machine that may use it.
    pub mac: Option<Mac>,
    /// It is there at every start of its machine: [`TokenUse::UntilInstalled`].
    pub lasting: bool,
    /// Not accepted after this time.
    pub expires_at: i64,
    /// When it was used.
    pub used_at: Option<i64>,
    /// Fingerprint of the key that used it.
    pub used_by: Option<String>,
}

/// How often a token may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    /// Once.
    Once,
    /// By one machine, which is let in again when it starts anew while it waits for the installer.
    UntilInstalled,
}

/// Keeps a token, and forgets the client's older ones that nobody used: only the newest boot counts.
pub async fn create_token(
    tx: &mut Tx,
    hash: &Sha256,
    client: ClientId,
    mac: Option<Mac>,
    uses: TokenUse,
    expires_at: i64,
    now: i64,
) -> Result<(), Error> {
    forget_tokens(tx, client).await?;
    let lasting = uses == TokenUse::UntilInstalled;
    tx.execute(
        "INSERT INTO enrol_tokens (hash, client_id, mac, created_at, expires_at, lasting) VALUES ($1, $2, $3, $4, $5, $6)",
        args![hash, client, mac.map(|mac| mac.to_string()), now, expires_at, lasting],
    )
    .await?;
    Ok(())
}

/// A token by its hash.
pub async fn find_token(tx: &mut Tx, hash: &Sha256) -> Result<Option<EnrolToken>, Error> {
    let sql =
        "SELECT client_id, mac, lasting, expires_at, used_at, used_by FROM enrol_tokens WHERE hash = $1";
    let row = tx.optional(sql, args![hash]).await?;
    row.map(|row| {
        Ok(EnrolToken {
            client: ClientId(row.int("client_id")?),
            mac: row.opt_text("mac")?.map(|_| row.parsed("mac")).transpose()?,
            lasting: row.bool("lasting")?,
            expires_at: row.int("expires_at")?,
            used_at: row.opt_int("used_at")?,
            used_by: row.opt_text("used_by")?,
        })
    })
    .transpose()
}

/// Uses a token up in one statement; tells whether it was there, unused and in time.
pub async fn use_token(tx: &mut Tx, hash: &Sha256, used_by: &Sha256, now: i64) -> Result<bool, Error> {
    let sql = "UPDATE enrol_tokens SET used_at = $1, used_by = $2 WHERE hash = $3 AND used_at IS NULL AND expires_at > $1";
    Ok(tx.execute(sql, args![now, used_by, hash]).await? == 1)
}

/// Forgets the tokens of a client that nobody used.
pub async fn forget_tokens(tx: &mut Tx, client: ClientId) -> Result<(), Error> {
    tx.execute("DELETE FROM enrol_tokens WHERE client_id = $1 AND used_at IS NULL", args![client]).await?;
    Ok(())
}

/// A certificate as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Whose.
    pub client: ClientId,
    /// SHA-256 of the public key.
    pub fingerprint: Sha256,
    /// Not accepted after this time.
    pub expires_at: i64,
    /// When it was revoked.
    pub revoked_at: Option<i64>,
}

/// Keeps a new certificate.
pub async fn create_certificate(
    tx: &mut Tx,
    certificate: &Certificate,
    realm: Realm,
    boot_id: &str,
    now: i64,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO certificates (serial, client_id, fingerprint, realm, boot_id, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        args![
            &certificate.serial,
            certificate.client,
            &certificate.fingerprint,
            word(realm),
            boot_id,
            now,
            certificate.expires_at
        ],
    )
    .await?;
    Ok(())
}

/// A certificate by its serial number.
pub async fn find_certificate(tx: &mut Tx, serial: &str) -> Result<Option<Certificate>, Error> {
    let sql =
        "SELECT serial, client_id, fingerprint, expires_at, revoked_at FROM certificates WHERE serial = $1";
    let row = tx.optional(sql, args![serial]).await?;
    row.map(|row| {
        Ok(Certificate {
            serial: row.text("serial")?,
            client: ClientId(row.int("client_id")?),
            fingerprint: row.parsed("fingerprint")?,
            expires_at: row.int("expires_at")?,
            revoked_at: row.opt_int("revoked_at")?,
        })
    })
    .transpose()
}

/// Why a certificate was revoked; `None` when it was not, or is not known.
pub async fn revocation(tx: &mut Tx, serial: &str) -> Result<Option<String>, Error> {
    let sql = "SELECT revoked_because FROM certificates WHERE serial = $1 AND revoked_at IS NOT NULL";
    match tx.optional(sql, args![serial]).await? {
        Some(row) => row.opt_text("revoked_because"),
        None => Ok(None),
    }
}

/// Revokes the certificates of a client; gives how many.
pub async fn revoke(tx: &mut Tx, client: ClientId, because: &str, now: i64) -> Result<u64, Error> {
    let sql = "UPDATE certificates SET revoked_at = $1, revoked_because = $2 WHERE client_id = $3 AND revoked_at IS NULL";
    tx.execute(sql, args![now, because, client]).await
}

/// Revokes those of a client's certificates that were given to agents in a realm, all but those of one key; gives how many.
pub async fn revoke_in_realm(
    tx: &mut Tx,
    client: ClientId,
    realm: Realm,
    but: &Sha256,
    because: &str,
    now: i64,
) -> Result<u64, Error> {
    let sql = "UPDATE certificates SET revoked_at = $1, revoked_because = $2 \
               WHERE client_id = $3 AND revoked_at IS NULL AND realm = $4 AND fingerprint <> $5";
    tx.execute(sql, args![now, because, client, word(realm), but]).await
}

/// Revokes what a certificate has replaced, now that it is used; gives how many.
pub async fn revoke_replaced(tx: &mut Tx, serial: &str, because: &str, now: i64) -> Result<u64, Error> {
    let sql = format!("UPDATE certificates SET revoked_at = $2, revoked_because = $3 WHERE {REPLACED}");
    tx.execute(&sql, args![serial, now, because]).await
}

/// Whether a certificate has replaced one that is not revoked yet.
pub async fn has_replaced(tx: &mut Tx, serial: &str) -> Result<bool, Error> {
    let sql = format!("SELECT serial FROM certificates WHERE {REPLACED} LIMIT 1");
    Ok(tx.optional(&sql, args![serial]).await?.is_some())
}

/// The certificates that the one with serial number `$1` has replaced: those of its client, with other keys, that are older and of its
/// realm; and when it is an installed system's, those of installers, which that system has left behind. An installer replaces no
/// installed system: the machine may only be there to be rescued. Its client is asked for first, since every poll asks this.
const REPLACED: &str = "client_id = (SELECT client_id FROM certificates WHERE serial = $1) AND revoked_at IS NULL AND EXISTS ( \
    SELECT 1 FROM certificates used WHERE used.serial = $1 AND used.client_id = certificates.client_id \
    AND used.fingerprint <> certificates.fingerprint AND ( \
    (used.realm = certificates.realm AND used.created_at > certificates.created_at) \
    OR (used.realm = 'system' AND certificates.realm = 'installer')))";

fn word(realm: Realm) -> &'static str {
    super::jobs::realm_word(Some(realm)).unwrap_or("system")
}
