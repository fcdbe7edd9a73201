//! An address whose connections lead elsewhere later, as a name does after a failover.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    _tasks: JoinSet<()>,
}

impl Wire {
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let (mut tasks, leads_to) = (JoinSet::new(), Arc::clone(&target));
        tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            loop {
                let (mut inner, _) = listener.accept().await.unwrap();
                let target = *leads_to.lock().unwrap();
                pipes.spawn(async move {
                    let Ok(mut outer) = TcpStream::connect(target).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
                });
            }
        });
        Self { address, target, _tasks: tasks }
    }

    /// Where connections lead from now on. Those that are open stay where they are.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        *self.target.lock().unwrap() = target;
    }
}
