//! RabbitMQ, alone in its cluster.

use std::path::PathBuf;

use lapin::{Connection, ConnectionProperties};
use serde_json::{Value, json};

use super::place::{Place, free_port};
use super::{Leash, ServerError, installed, text};

const USER: &str = "rabbitmq";
/// Erlang looks for its nodes in a register of names, one for a machine, which it starts if there is none and which
/// stays for ever. This node has a register of its own that ends with it: the shell becomes the server, so the server
/// is the register's parent.
const WITH_REGISTER: &str = r#"
setpriv --pdeathsig KILL epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 &
until epmd -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do sleep 0.05; done
exec "$0"
"#;

/// A RabbitMQ server.
pub struct Rabbit {
    port: u16,
    leash: Leash,
}

impl Rabbit {
    /// Somewhere, with a virtual host for each of these names: worlds that do not hear each other.
    pub async fn start(hosts: &[&str]) -> Result<Self, ServerError> {
        Self::start_at(Place::anywhere()?, free_port()?, hosts).await
    }

    /// Here; `node_port` is for nodes of one cluster to talk among themselves. What an earlier one left in the directory
    /// is there again.
    pub async fn start_at(place: Place, node_port: u16, hosts: &[&str]) -> Result<Self, ServerError> {
        // The one on the path is a wrapper that asks for root, to give it up.
        let folders = [PathBuf::from("/usr/lib/rabbitmq/bin")];
        let program = installed("rabbitmq-server", "rabbitmq-server", &folders)?;
        place.prepare(USER)?;
        let port = place.port;
        let definitions = place.write("definitions.json", &definitions(hosts).to_string())?;
        let settings = format!(
            "listeners.tcp.local = 127.0.0.1:{port}\nload_definitions = {}\nlog.file.level = warning\n",
            text(&definitions)
        );
        let settings = place.write("rabbitmq.conf", &settings)?;
        let plugins = place.write("plugins", "[].")?;
        // One scheduler that does not spin: it shares the machine with what it is tried with.
        let erlang =
            "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}";
        let directory = text(&place.directory);
        let environment = [
            ("ERL_EPMD_ADDRESS", "127.0.0.1"),
            ("ERL_EPMD_PORT", &free_port()?.to_string()),
            ("HOME", &directory),
            ("RABBITMQ_CONFIG_FILE", &text(&settings)),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null"),
            ("RABBITMQ_DIST_PORT", &node_port.to_string()),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", &text(&plugins)),
            ("RABBITMQ_LOG_BASE", &directory),
            ("RABBITMQ_MNESIA_BASE", &directory),
            ("RABBITMQ_NODENAME", &format!("shop-{port}@localhost")),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", erlang),
            // Else a shell stands between us and it.
            ("RUNNING_UNDER_SYSTEMD", "true"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let command = ["sh", "-c", WITH_REGISTER, &text(&program)].map(str::to_owned).into();
        let rabbit = Self { port, leash: Leash::new("rabbitmq-server", place, USER, command, environment) };
        rabbit.start_again().await?;
        Ok(rabbit)
    }

    /// Where this virtual host is: `/` is always there.
    pub fn url(&self, host: &str) -> String {
        format!("amqp://shop:shop@127.0.0.1:{}/{}", self.port, host.replace('/', "%2f"))
    }

    /// Ends it in order, its files stay.
    pub fn stop(&self) -> Result<(), ServerError> {
        self.leash.stop()
    }

    /// Ends it as a crash would. A quorum queue that was made in the seconds before does not survive that: RabbitMQ 3.10
    /// has then not yet written down that it is there.
    pub fn kill(&self) -> Result<(), ServerError> {
        self.leash.kill()
    }

    /// Starts it after [`Rabbit::stop`] or [`Rabbit::kill`].
    pub async fn start_again(&self) -> Result<(), ServerError> {
        self.leash
            .start(async || {
                let connected = Connection::connect(&self.url("/"), ConnectionProperties::default()).await;
                let connection = connected.map_err(|error| error.to_string())?;
                connection.close(200, "bye".into()).await.map_err(|error| error.to_string())
            })
            .await
    }
}

fn definitions(hosts: &[&str]) -> Value {
    let hosts: Vec<_> = std::iter::once("/").chain(hosts.iter().copied()).collect();
    let everything = |host: &&str| json!({ "user": "shop", "vhost": host, "configure": ".*", "write": ".*", "read": ".*" });
    json!({
        "users": [{ "name": "shop", "password": "shop", "tags": "administrator" }],
        "vhosts": hosts.iter().map(|host| json!({ "name": host })).collect::<Vec<_>>(),
        "permissions": hosts.iter().map(everything).collect::<Vec<_>>(),
    })
}
