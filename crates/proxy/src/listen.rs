//! Where a proxy listens.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    sync::Arc,
};

use serde::{Deserialize, Deserializer, de};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::either::Either;

use crate::ConfigError;

/// Where a proxy listens: `127.0.0.1:8080`, `[::1]:8080`, or `unix:/run/countersign.sock`.
///
/// Whoever may write to a Unix socket may connect: its owner and group, and who can reach the folder. The file is
/// removed when the proxy stops to listen, and replaced if nobody listens on it.
///
/// ```
/// use countersign_proxy::ListenAddress;
///
/// let address: ListenAddress = "unix:/run/countersign.sock".parse()?;
/// assert_eq!(address.to_string(), "unix:/run/countersign.sock");
/// assert!(address.is_local());
/// assert!(!"0.0.0.0:8080".parse::<ListenAddress>()?.is_local());
/// assert!("localhost:8080".parse::<ListenAddress>().is_err());
/// # Ok::<(), countersign_proxy::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// An address and a port; port 0 is a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether this machine alone reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            ListenAddress::Tcp(address) => address.ip().is_loopback(),
            ListenAddress::Unix(_) => true,
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> ListenAddress {
        ListenAddress::Tcp(address)
    }
}

impl FromStr for ListenAddress {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<ListenAddress, ConfigError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(ListenAddress::Unix(path.into()));
        }
        text.parse().map(ListenAddress::Tcp).map_err(|_| {
            ConfigError::new(format!(
                "`{}` is neither like 127.0.0.1:8080 or [::1]:8080 nor like unix:/run/countersign.sock",
                text.escape_debug()
            ))
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<ListenAddress, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// A connection of either kind.
#[cfg(unix)]
pub(crate) type Socket = Either<TcpStream, tokio::net::UnixStream>;
/// A connection.
#[cfg(not(unix))]
pub(crate) type Socket = Either<TcpStream, TcpStream>;

/// Where a connection comes from, as far as the system tells.
pub(crate) struct Origin {
    pub(crate) address: Option<IpAddr>,
    /// Of a Unix socket: who runs the program at the other end.
    pub(crate) name: Option<Arc<str>>,
}

/// What listens.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(unix::UnixSocket),
}

impl Listener {
    /// # Errors
    /// If it cannot be listened there; the text says where.
    pub(crate) async fn bind(address: &ListenAddress) -> io::Result<Listener> {
        let bound = match address {
            ListenAddress::Tcp(address) => TcpListener::bind(address).await.map(Listener::Tcp),
            #[cfg(unix)]
            ListenAddress::Unix(path) => unix::UnixSocket::bind(path).map(Listener::Unix),
            #[cfg(not(unix))]
            ListenAddress::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        bound.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })
    }

    /// The address, with the port that the system chose; none of a Unix socket.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Listener::Unix(_) => None,
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<(Socket, Origin)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // Answers are written in one piece.
                let _ = stream.set_nodelay(true);
                // A client of IPv4 is the same on a socket of both.
                let address = address.ip().to_canonical();
                Ok((Either::Left(stream), Origin { address: Some(address), name: None }))
            }
            #[cfg(unix)]
            Listener::Unix(socket) => {
                let stream = socket.accept().await?;
                let name = stream.peer_cred().ok().map(|it| format!("uid {}", it.uid()).into());
                Ok((Either::Right(stream), Origin { address: None, name }))
            }
        }
    }

    /// Makes room for another that listens at the same place, while connections that were made are still taken.
    pub(crate) fn leave(&mut self) {
        match self {
            Listener::Tcp(_) => {}
            #[cfg(unix)]
            Listener::Unix(socket) => socket.leave(),
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::{
        fs, io,
        os::unix::{
            fs::{FileTypeExt, PermissionsExt},
            net::UnixStream as Blocking,
        },
        path::{Path, PathBuf},
    };

    use tokio::net::{UnixListener, UnixStream};

    /// A Unix socket, whose file is removed with it.
    #[derive(Debug)]
    pub(crate) struct UnixSocket {
        listener: UnixListener,
        file: Option<SocketFile>,
    }

    impl UnixSocket {
        pub(super) fn bind(path: &Path) -> io::Result<UnixSocket> {
            match fs::symlink_metadata(path) {
                Ok(found) if !found.file_type().is_socket() => {
                    return Err(io::Error::new(
                        io::ErrorKind::AlreadyExists,
                        "there is a file that is no socket",
                    ));
                }
                // Left behind by somebody who had no time to remove it, unless somebody answers.
                Ok(_) if Blocking::connect(path).is_ok() => {
                    return Err(io::ErrorKind::AddrInUse.into());
                }
                _ => {}
            }
            let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
            // It takes its place when it is ready, so that nobody sees it with other rights.
            let made = tempfile::Builder::new().prefix(".").rand_bytes(6).make_in(
                folder.unwrap_or(Path::new(".")),
                |path| {
                    let listener = UnixListener::bind(path)?;
                    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
                    Ok(listener)
                },
            )?;
            let listener = made.persist(path).map_err(|error| error.error)?;
            // From the root, wherever the program goes.
            let file = SocketFile(std::path::absolute(path)?);
            Ok(UnixSocket { listener, file: Some(file) })
        }

        pub(super) async fn accept(&self) -> io::Result<UnixStream> {
            self.listener.accept().await.map(|(stream, _)| stream)
        }

        pub(super) fn leave(&mut self) {
            self.file = None;
        }
    }

    /// Is removed when it is dropped.
    #[derive(Debug)]
    struct SocketFile(PathBuf);

    impl Drop for SocketFile {
        fn drop(&mut self) {
            // If somebody else has removed it, it is gone as well.
            let _ = fs::remove_file(&self.0);
        }
    }

    /// For owner and group.
    const MODE: u32 = 0o660;
}
