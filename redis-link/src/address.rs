//! From a configuration to a client: what a connect needs, as it is at that moment.

use std::path::Path;

use redis::io::tcp::TcpSettings;
use redis::{
    Client, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError, RedisResult, TlsCertificates,
};

use crate::LinkConfig;

/// A client for one connect. Names are resolved when it connects, so a name that moved leads to the new server.
pub(crate) async fn client(config: &LinkConfig) -> RedisResult<Client> {
    let password = match &config.password_file {
        Some(file) => Some(read(file, tokio::fs::read(file).await)?),
        None => None,
    };
    let ca = match &config.ca_file {
        Some(file) => Some(read(file, tokio::fs::read(file).await)?),
        None => None,
    };
    build(&config.url, password, ca)
}

/// Checks at start what [`client`] uses later: an operator's slip is said at once.
pub(crate) fn check(config: &LinkConfig) -> RedisResult<()> {
    let read_now = |file: &Option<std::path::PathBuf>| {
        file.as_ref().map(|file| read(file, std::fs::read(file))).transpose()
    };
    build(&config.url, read_now(&config.password_file)?, read_now(&config.ca_file)?).map(drop)
}

fn read(file: &Path, found: std::io::Result<Vec<u8>>) -> RedisResult<Vec<u8>> {
    found.map_err(|error| refused("cannot read a file for Redis", format!("{}: {error}", file.display())))
}

fn build(url: &str, password: Option<Vec<u8>>, ca: Option<Vec<u8>>) -> RedisResult<Client> {
    let mut address: ConnectionInfo = url.into_connection_info()?;
    address = address.set_tcp_settings(TcpSettings::default().set_nodelay(true));
    if let Some(password) = password {
        let password = String::from_utf8(password)
            .map_err(|_| refused("the password file for Redis is not text", String::new()))?;
        let settings = address.redis_settings().clone().set_password(password.trim_end_matches(['\r', '\n']));
        address = address.set_redis_settings(settings);
    }
    match ca {
        Some(root_cert) => {
            Client::build_with_tls(address, TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
        }
        None => Client::open(address),
    }
}

fn refused(what: &'static str, detail: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, what, detail))
}
