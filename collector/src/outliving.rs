//! Work that goes on when whoever waits for it no longer does.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A future that is polled in place and, dropped before its end, goes on as a task of its own. So the usual case,
/// in which nobody goes away, costs no task.
pub(crate) struct Outliving<T: Send + 'static> {
    /// `None` once it has ended.
    work: Option<Boxed<T>>,
    tasks: TaskTracker,
    /// Waited for like a task: given back after what goes on is one.
    _is_under_way: TaskTrackerToken,
}

impl<T: Send + 'static> Outliving<T> {
    /// `work`, tracked by `tasks` from now on.
    pub(crate) fn new(tasks: &TaskTracker, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), tasks: tasks.clone(), _is_under_way: tasks.token() }
    }
}

impl<T: Send + 'static> Future for Outliving<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let work = self.work.as_mut().expect("a future is not polled after its end");
        let ended = work.as_mut().poll(context);
        if ended.is_ready() {
            self.work = None;
        }
        ended
    }
}

impl<T: Send + 'static> Drop for Outliving<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and nobody was told that the work is done.
        if let (Some(work), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            self.tasks.spawn_on(work, &runtime);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn what_is_dropped_goes_on_and_is_waited_for() {
        let (tasks, go_on, is_done) =
            (TaskTracker::new(), Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let work = {
            let (go_on, is_done) = (Arc::clone(&go_on), Arc::clone(&is_done));
            async move {
                go_on.notified().await;
                is_done.store(true, Ordering::SeqCst);
            }
        };
        let mut outliving = Box::pin(Outliving::new(&tasks, work));
        assert!(futures_poll(outliving.as_mut()).await.is_pending());
        drop(outliving);
        tasks.close();
        assert!(futures_poll(std::pin::pin!(tasks.wait())).await.is_pending());
        go_on.notify_one();
        tasks.wait().await;
        assert!(is_done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn what_is_awaited_ends_in_place() {
        let tasks = TaskTracker::new();
        assert_eq!(Outliving::new(&tasks, async { 7 }).await, 7);
        assert!(tasks.is_empty());
    }

    async fn futures_poll<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
    }
}
