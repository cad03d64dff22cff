//! The certificate authority of one server, and its plan key.

use std::path::{Path, PathBuf};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
    SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use wire::{
    ClientId, Sha256,
    plan::{Plan, SignedPlan},
    trust,
};

use super::{Error, keys, seal::Seal};
use crate::{blobs, clock};

/// Agents' certificates are valid this long; they renew at two thirds.
const AGENT_DAYS: i64 = 90;
/// The server makes itself a new certificate at every start.
const SERVER_DAYS: i64 = 397;
const CA_DAYS: i64 = 20 * 365;
/// Certificates count from an hour before, so that a clock that is a little slow accepts them.
const BACKDATE_S: i64 = 3600;

/// The CA, its certificate and the plan key.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    time_key: EcdsaKeyPair,
    plan_key: Ed25519KeyPair,
    seal: Seal,
    ca_pem: String,
    fingerprint: Sha256,
}

/// A certificate that was just made for an agent.
pub struct Issued {
    /// Serial number, hexadecimal.
    pub serial: String,
    /// The certificate in PEM.
    pub pem: String,
    /// SHA-256 of the agent's public key (SPKI, DER).
    pub key_fingerprint: Sha256,
    /// Not valid after this time.
    pub expires_at: i64,
}

impl Authority {
    /// Reads the keys in `DATA/keys`, or makes them on the first run; writes `DATA/ca.pem` for everybody to read.
    ///
    /// # Errors
    /// A file cannot be read or written, or is damaged.
    pub fn open(data: &Path, now: i64) -> Result<Self, Error> {
        let file = |name: &str| -> PathBuf { data.join("keys").join(name) };
        let path = data.join("ca.pem");
        // Written last on the first run: where it is, agents may trust it, and a new key would lock all of them out.
        let is_made = path.is_file();
        let ca_key =
            keys::read_or_make(&file("ca.key.pem"), is_made, || Ok(new_key()?.serialize_pem().into_bytes()))?;
        let ca_key = KeyPair::from_pem(&String::from_utf8_lossy(&ca_key))
            .map_err(Error::certificate("reading the CA key"))?;
        let time_key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &ca_key.serialize_der())
            .map_err(|error| Error::certificate("reading the CA key")(error.to_string()))?;
        let seal = Seal::new(&ca_key.serialize_der())?;
        let plan_key = keys::read_or_make(&file("plan.key"), is_made, || {
            let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
                .map_err(|error| Error::certificate("making the plan key")(error.to_string()))?;
            Ok(document.as_ref().to_vec())
        })?;
        let plan_key = Ed25519KeyPair::from_pkcs8(&plan_key)
            .map_err(|error| Error::certificate("reading the plan key")(error.to_string()))?;

        // Made once and kept: agents trust the certificate's hash, not only its key.
        let born = keys::read_or_make(&file("ca.born"), is_made, || Ok(now.to_string().into_bytes()))?;
        let born = String::from_utf8_lossy(&born)
            .trim()
            .parse()
            .map_err(Error::certificate("reading when the CA was made"))?;
        let issuer = CertifiedIssuer::self_signed(ca_params(born)?, ca_key)
            .map_err(Error::certificate("making the CA"))?;
        let ca_pem = if is_made {
            std::fs::read_to_string(&path).map_err(|source| Error::File {
                attempt: "reading",
                path: path.clone(),
                source,
            })?
        } else {
            let pem = issuer.pem();
            keys::write(&path, pem.as_bytes(), 0o644).map_err(|source| Error::File {
                attempt: "writing",
                path: path.clone(),
                source,
            })?;
            pem
        };
        let der = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|error| Error::certificate("reading the CA")(error.to_string()))?;
        let fingerprint = blobs::hash(&der);
        Ok(Self { issuer, time_key, plan_key, seal, ca_pem, fingerprint })
    }

    /// The CA certificate in PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// SHA-256 of the CA certificate (DER): what clients are told to trust.
    pub fn fingerprint(&self) -> &Sha256 {
        &self.fingerprint
    }

    /// The CA certificate.
    ///
    /// # Errors
    /// The file in the data directory is damaged.
    pub fn ca_der(&self) -> Result<CertificateDer<'static>, Error> {
        CertificateDer::from_pem_slice(self.ca_pem.as_bytes())
            .map_err(|error| Error::certificate("reading the CA")(error.to_string()))
    }

    /// Public half of the plan key, hexadecimal.
    pub fn plan_key(&self) -> String {
        hex::encode(self.plan_key.public_key().as_ref())
    }

    /// A fresh certificate and key for the server's own listeners, for these host names and addresses.
    ///
    /// # Errors
    /// A name cannot stand in a certificate.
    pub fn server_identity(
        &self,
        names: &[String],
        now: i64,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let key = new_key()?;
        let mut params = leaf("Lotse server", now, SERVER_DAYS)?;
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.parse() {
                Ok(address) => Ok(SanType::IpAddress(address)),
                Err(_) => name.as_str().try_into().map(SanType::DnsName),
            })
            .collect::<Result<_, _>>()
            .map_err(Error::certificate("naming the server in its certificate"))?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(Error::certificate("signing the server's certificate"))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((vec![certificate.der().clone(), self.ca_der()?], key))
    }

    /// A certificate for an agent's key. Subject, usage and validity are ours, whatever the CSR says.
    ///
    /// # Errors
    /// [`Error::Request`] when the CSR is malformed, has extensions, or its signature does not prove the key.
    pub fn issue(&self, csr_pem: &str, client: ClientId, now: i64) -> Result<Issued, Error> {
        if csr_pem.len() > 8192 {
            return Err(Error::Request("it is longer than 8192 bytes".to_owned()));
        }
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem)
            .map_err(|error| Error::Request(error.to_string()))?;
        let serial: [u8; 16] = token_bytes();
        let mut params = leaf(&format!("lotse client {client}"), now, AGENT_DAYS)?;
        params.serial_number = Some(SerialNumber::from(serial.to_vec()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        request.params = params;
        let certificate =
            request.signed_by(&self.issuer).map_err(Error::certificate("signing an agent's certificate"))?;
        let (serial, key_fingerprint) = serial_and_key(certificate.der())?;
        let expires_at = now + AGENT_DAYS * 86_400 * clock::SECOND;
        Ok(Issued { serial, pem: certificate.pem(), key_fingerprint, expires_at })
    }

    /// The fingerprint of the key in a CSR, whose own signature is checked.
    ///
    /// # Errors
    /// [`Error::Request`]
    pub fn request_fingerprint(csr_pem: &str) -> Result<Sha256, Error> {
        use x509_parser::prelude::FromDer;
        let invalid = |error: &dyn std::fmt::Display| Error::Request(error.to_string());
        let (_, pem) =
            x509_parser::pem::parse_x509_pem(csr_pem.as_bytes()).map_err(|error| invalid(&error))?;
        let (_, request) =
            x509_parser::certification_request::X509CertificationRequest::from_der(&pem.contents)
                .map_err(|error| invalid(&error))?;
        request.verify_signature().map_err(|error| invalid(&error))?;
        Ok(blobs::hash(request.certification_request_info.subject_pki.raw))
    }

    /// A plan as it is stored, shown and carried out.
    ///
    /// # Errors
    /// The plan cannot be written as JSON.
    pub fn sign(&self, plan: &Plan) -> Result<SignedPlan, Error> {
        let text = serde_json::to_string(plan).map_err(Error::certificate("writing the plan"))?;
        let signature = BASE64.encode(self.plan_key.sign(text.as_bytes()).as_ref());
        Ok(SignedPlan { sha256: blobs::hash(text.as_bytes()), signature, text })
    }

    /// Signs a text that is no plan (Ed25519, base64). It must begin with its purpose, so that it can be taken for nothing else.
    pub fn sign_text(&self, text: &str) -> String {
        BASE64.encode(self.plan_key.sign(text.as_bytes()).as_ref())
    }

    /// Whether a signature of [`Authority::sign_text`] belongs to a text.
    pub fn has_signed(&self, text: &str, signature: &str) -> bool {
        let Ok(signature) = BASE64.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, self.plan_key.public_key().as_ref())
            .verify(text.as_bytes(), &signature)
            .is_ok()
    }

    /// Seals a text for this server alone, so that it opens for the same purpose only; the same text never looks the same.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn seal(&self, purpose: &str, text: &str) -> Result<String, Error> {
        self.seal.close(purpose, text)
    }

    /// Opens what [`Authority::seal`] made for this purpose.
    ///
    /// # Errors
    /// [`Error::Sealed`] when it was made by another key or for another purpose, or was changed.
    pub fn open_sealed(&self, purpose: &str, sealed: &str) -> Result<String, Error> {
        self.seal.open(purpose, sealed)
    }

    /// The CA and the time, signed, for an agent that knows only the fingerprint.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn trust(&self, nonce: &str, now: i64) -> Result<trust::Trust, Error> {
        let signature = self
            .time_key
            .sign(&SystemRandom::new(), trust::signed_text(nonce, now).as_bytes())
            .map_err(|error| Error::certificate("signing the time")(error.to_string()))?;
        Ok(trust::Trust {
            ca_pem: self.ca_pem.clone(),
            server_at: now,
            nonce: nonce.to_owned(),
            signature: BASE64.encode(signature.as_ref()),
        })
    }
}

/// Serial number (hexadecimal) and key fingerprint of a certificate.
///
/// # Errors
/// It is no certificate.
pub(super) fn serial_and_key(der: &[u8]) -> Result<(String, Sha256), Error> {
    use x509_parser::prelude::FromDer;
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(der)
        .map_err(|error| Error::certificate("reading a certificate")(error.to_string()))?;
    Ok((hex::encode(certificate.raw_serial()), blobs::hash(certificate.public_key().raw)))
}

fn token_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = super::token::random_bytes::<N>();
    // A positive DER integer without a leading zero byte (RFC 5280, 4.1.2.2).
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    bytes
}

fn new_key() -> Result<KeyPair, Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(Error::certificate("making a key"))
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::OrganizationName, "Lotse");
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn ca_params(born: i64) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(Vec::new()).map_err(Error::certificate("making the CA"))?;
    params.distinguished_name = named("Lotse CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages =
        vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params.not_before = clock::date(born - BACKDATE_S * clock::SECOND);
    params.not_after = clock::date(born + CA_DAYS * 86_400 * clock::SECOND);
    params.serial_number = Some(SerialNumber::from(vec![1]));
    Ok(params)
}

fn leaf(name: &str, now: i64, days: i64) -> Result<CertificateParams, Error> {
    let mut params =
        CertificateParams::new(Vec::new()).map_err(Error::certificate("making a certificate"))?;
    params.distinguished_name = named(name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.not_before = clock::date(now - BACKDATE_S * clock::SECOND);
    params.not_after = clock::date(now + days * 86_400 * clock::SECOND);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000 * clock::SECOND;

    fn csr() -> String {
        let key = new_key().unwrap();
        let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
        params.distinguished_name = named("somebody else");
        params.serialize_request(&key).unwrap().pem().unwrap()
    }

    #[test]
    fn keys_and_ca_are_the_same_after_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let first = Authority::open(data.path(), NOW).unwrap();
        let second = Authority::open(data.path(), NOW + 1_000_000_000).unwrap();
        assert_eq!(first.fingerprint(), second.fingerprint());
        assert_eq!(first.plan_key(), second.plan_key());
    }

    #[test]
    fn a_key_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let data = tempfile::tempdir().unwrap();
        Authority::open(data.path(), NOW).unwrap();
        let key = data.path().join("keys/ca.key.pem");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Authority::open(data.path(), NOW).is_err());
    }

    #[test]
    fn a_key_that_was_lost_is_not_made_anew_behind_the_back_of_the_agents() {
        for name in ["ca.key.pem", "plan.key", "ca.born"] {
            let data = tempfile::tempdir().unwrap();
            Authority::open(data.path(), NOW).unwrap();
            std::fs::remove_file(data.path().join("keys").join(name)).unwrap();
            let Err(error) = Authority::open(data.path(), NOW) else { panic!("{name} was made anew") };
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn a_first_run_that_broke_off_is_gone_on_with() {
        let data = tempfile::tempdir().unwrap();
        Authority::open(data.path(), NOW).unwrap();
        std::fs::remove_file(data.path().join("ca.pem")).unwrap();
        std::fs::remove_file(data.path().join("keys/plan.key")).unwrap();
        Authority::open(data.path(), NOW).unwrap();
    }

    #[test]
    fn nothing_but_the_key_is_taken_from_a_request() {
        use x509_parser::prelude::FromDer;
        let data = tempfile::tempdir().unwrap();
        let authority = Authority::open(data.path(), NOW).unwrap();
        let csr = csr();
        let issued = authority.issue(&csr, ClientId(7), NOW).unwrap();
        assert_eq!(issued.key_fingerprint, Authority::request_fingerprint(&csr).unwrap());
        let der = CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap();
        let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
        assert!(certificate.subject().to_string().contains("lotse client 7"));
        assert!(certificate.subject_alternative_name().unwrap().is_none());
        assert_eq!(hex::encode(certificate.raw_serial()), issued.serial);
    }

    #[test]
    fn garbage_is_no_request() {
        let data = tempfile::tempdir().unwrap();
        let authority = Authority::open(data.path(), NOW).unwrap();
        for text in ["", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"] {
            assert!(matches!(authority.issue(text, ClientId(1), NOW), Err(Error::Request(_))));
            assert!(Authority::request_fingerprint(text).is_err());
        }
    }
}
