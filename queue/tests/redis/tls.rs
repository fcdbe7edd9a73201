//! Certificates of an authority of the tests' own, made by `openssl`.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// `ca.pem`, `server.pem` and `server.key` for localhost by it, and `other.pem`, an authority with nothing to say here.
pub(crate) struct Certificates {
    folder: TempDir,
}

impl Certificates {
    pub(crate) fn make() -> Self {
        let certificates = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(certificates.folder().join("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1")
            .unwrap();
        for authority in ["ca", "other"] {
            certificates.openssl(&format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={authority} -keyout {authority}.key -out {authority}.pem"
            ));
        }
        certificates
            .openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr");
        certificates.openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
        );
        certificates
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn openssl(&self, arguments: &str) {
        let mut openssl = Command::new("openssl");
        openssl
            .args(arguments.split(' '))
            .current_dir(self.folder())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        assert!(openssl.status().expect("openssl is installed").success(), "openssl {arguments}");
    }
}
