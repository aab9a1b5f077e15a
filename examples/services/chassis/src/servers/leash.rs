//! A server that ends when we do. It is started by a shell that waits for our end of a pipe to close, which the system
//! does for us however we end; then the shell ends the server and takes its directory away. Should somebody kill the
//! shell, the server gets a signal from the system (`setpriv --pdeathsig`).

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::place::{io, we_are_root};
use super::{Place, ServerError};

/// Its standard input says by which signal the server is to end; nothing, when we are gone, means TERM.
const WATCH: &str = r#"
directory=$1; shift
exec 3<&0
"$@" </dev/null 3<&- >"$directory/log" 2>&1 &
server=$!
{
    read -r signal <&3
    kill -"${signal:-TERM}" $server
    tenths=0
    while kill -0 $server && [ $tenths -lt 100 ]; do tenths=$((tenths + 1)); sleep 0.1; done
    kill -KILL $server
} 2>/dev/null &
patience=$!
wait $server
kill $patience 2>/dev/null
tail -n 20 "$directory/log" >&2
[ -e "$directory/keep" ] || rm -rf "$directory"
"#;
/// A server that has not begun to answer by then does not start. RabbitMQ takes ten seconds of a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// A server, running or stopped.
pub(super) struct Leash {
    name: &'static str,
    place: Place,
    command: Vec<String>,
    environment: Vec<(String, String)>,
    watch: Mutex<Option<Child>>,
}

impl Leash {
    /// What is to run there, as this user if we are root.
    pub(super) fn new(
        name: &'static str,
        place: Place,
        user: &str,
        command: Vec<String>,
        environment: Vec<(String, String)>,
    ) -> Self {
        let command = [leashed(user), command].concat();
        Self { name, place, command, environment, watch: Mutex::default() }
    }

    /// Starts it, and waits until it is ready.
    pub(super) async fn start(
        &self,
        mut is_ready: impl AsyncFnMut() -> Result<(), String>,
    ) -> Result<(), ServerError> {
        self.place.keep(!self.place.is_scrap())?;
        let mut watch = Command::new("sh");
        // A group of its own: Ctrl-C in a terminal is for us; we end, and then it does, in order.
        watch.args(["-c", WATCH, "watch"]).arg(&self.place.directory).args(&self.command).process_group(0);
        watch.envs(self.environment.iter().cloned()).current_dir("/");
        watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let watch = watch.spawn().map_err(io("sh"))?;
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        let mut said = "nothing".to_owned();
        let until = Instant::now() + READY_WITHIN;
        while Instant::now() < until {
            self.is_running()?;
            // Whoever else has the port may never say a word.
            match tokio::time::timeout(LOOK_WITHIN, is_ready()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(why)) => said = why,
                Err(_) => "it is silent".clone_into(&mut said),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(ServerError::Silent(self.name, said))
    }

    fn is_running(&self) -> Result<(), ServerError> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(child) = &mut *watch else { return Ok(()) };
        if child.try_wait().map_err(io("sh"))?.is_none() {
            return Ok(());
        }
        let mut said = String::new();
        if let Some(mut words) = child.stderr.take() {
            let _ = words.read_to_string(&mut said);
        }
        *watch = None;
        Err(ServerError::Ended { program: self.name, said })
    }

    /// Ends it as a crash would, at once. Its files stay, and it can be started again.
    pub(super) fn kill(&self) -> Result<(), ServerError> {
        self.place.keep(true)?;
        self.end("KILL");
        Ok(())
    }

    /// Ends it in order. Its files stay, and it can be started again.
    pub(super) fn stop(&self) -> Result<(), ServerError> {
        self.place.keep(true)?;
        self.end("TERM");
        Ok(())
    }

    fn end(&self, signal: &str) {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut watch) = watch else { return };
        if let Some(mut input) = watch.stdin.take() {
            let _ = writeln!(input, "{signal}");
        }
        let _ = watch.wait();
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // Postgres calls this a fast shutdown; the others know no difference.
        self.end(if self.name == "postgres" { "INT" } else { "TERM" });
        if self.place.is_scrap() {
            let _ = std::fs::remove_dir_all(&self.place.directory);
        }
    }
}

/// What comes before a command so that it ends with its parent, and does not run as root.
pub(super) fn leashed(user: &str) -> Vec<String> {
    let mut words: Vec<String> = ["setpriv", "--pdeathsig", "KILL"].map(str::to_owned).into();
    if we_are_root() {
        words.extend([format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()]);
    }
    words
}
