//! Apache RocketMQ from Maven Central: its jars, and the flags its own scripts start it with.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The version that is compared with.
pub const VERSION: &str = "5.5.0";
const GIB: u64 = 1 << 30;
/// Java 17 closes these packages to the reflection that RocketMQ does.
const OPENS: [&str; 6] = ["java.lang", "java.math", "java.net", "java.nio", "java.util", "sun.nio.ch"];

/// What of RocketMQ is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The name server of a broker that is measured.
    Namesrv,
    /// The name server when it is measured itself.
    NamesrvMeasured,
    /// The broker.
    Broker,
    /// A class of `org.apache.rocketmq.example.benchmark`.
    Benchmark(&'static str),
}

/// Where the jars are and which memory there is to tune for.
#[derive(Clone, Debug)]
pub struct Java {
    class_path: String,
    memory_bytes: u64,
}

impl Java {
    /// Has Maven gather the jars below `pom`'s folder, once.
    ///
    /// # Errors
    /// When Java or Maven is missing, or Maven cannot gather them.
    pub fn prepare(pom: &Path, memory_bytes: u64) -> Result<Self> {
        version().context("java cannot be run (Debian: apt-get install default-jdk-headless)")?;
        let folder = pom.parent().context("the pom has no folder")?.join("target").join(format!("RocketMQ-{VERSION}"));
        let complete = folder.join("complete");
        if !complete.exists() {
            eprintln!("bench: Maven gathers RocketMQ {VERSION} …");
            let status = Command::new("mvn")
                .args(["-q", "-B", "-f"])
                .arg(pom)
                .arg("dependency:copy-dependencies")
                .arg(format!("-Drocketmq.version={VERSION}"))
                .arg(format!("-DoutputDirectory={}", folder.display()))
                .stdout(std::io::stderr())
                .status()
                .context("mvn cannot be run (Debian: apt-get install maven)")?;
            ensure!(status.success(), "mvn ended with {status}");
            std::fs::write(&complete, "")?;
        }
        Ok(Self { class_path: format!("{}/*", folder.display()), memory_bytes })
    }

    /// The command line of a program whose files all stay below `home`.
    pub fn command(&self, program: Program, home: &Path) -> Command {
        let mut command = Command::new(executable());
        command.args(self.flags(program, home));
        command.args(OPENS.map(|package| format!("--add-opens=java.base/{package}=ALL-UNNAMED")));
        command.arg(format!("-Duser.home={}", home.display()));
        command.arg(format!("-Drocketmq.client.logRoot={}", home.join("logs").display()));
        command.args(["-cp", &self.class_path]);
        command.arg(match program {
            Program::Namesrv | Program::NamesrvMeasured => "org.apache.rocketmq.namesrv.NamesrvStartup".to_owned(),
            Program::Broker => "org.apache.rocketmq.broker.BrokerStartup".to_owned(),
            Program::Benchmark(class) => format!("org.apache.rocketmq.example.benchmark.{class}"),
        });
        command.env("ROCKETMQ_HOME", home).env_remove("JAVA_TOOL_OPTIONS").env_remove("NAMESRV_ADDR");
        command.current_dir(home);
        command
    }

    /// The flags of `bin/runbroker.sh`, `bin/runserver.sh` and `benchmark/runclass.sh` of the distribution, as these
    /// choose them for Java 9 and later. Changed: heap and direct memory are cut to a quarter and half of the machine
    /// where it has less than the scripts take for granted; a name server beside a measured broker gets 256 MiB.
    fn flags(&self, program: Program, home: &Path) -> Vec<String> {
        let heap = |script_gib: u64| (self.memory_bytes / 4 / GIB).clamp(1, script_gib);
        let g1 = "-XX:+UseG1GC -XX:G1HeapRegionSize=16m -XX:G1ReservePercent=25 \
                  -XX:InitiatingHeapOccupancyPercent=30 -XX:SoftRefLRUPolicyMSPerMB=0";
        let gc_log = |name| {
            let file = home.join(name);
            format!("-Xlog:gc*:file={}:time,tags:filecount=5,filesize=30M", file.display())
        };
        let text = match program {
            Program::Broker => {
                let heap = heap(8);
                let direct = (self.memory_bytes / 2 / GIB).clamp(1, 15);
                format!(
                    "-server -Xms{heap}g -Xmx{heap}g {g1} -XX:-OmitStackTraceInFastThrow -XX:+AlwaysPreTouch \
                     -XX:MaxDirectMemorySize={direct}g -XX:-UseLargePages -XX:-UseBiasedLocking \
                     -XX:+IgnoreUnrecognizedVMOptions {}",
                    gc_log("gc-broker.log"),
                )
            }
            Program::NamesrvMeasured => {
                let heap = heap(4);
                format!(
                    "-server -Xms{heap}g -Xmx{heap}g -XX:MetaspaceSize=128m -XX:MaxMetaspaceSize=320m {g1} \
                     -XX:-OmitStackTraceInFastThrow -XX:-UseLargePages {}",
                    gc_log("gc-namesrv.log"),
                )
            }
            Program::Namesrv => "-server -Xmx256m -XX:-UseLargePages".to_owned(),
            // runclass.sh has -Xms1g -Xmx1g -Xmn256m and the collectors of Java 8.
            Program::Benchmark(_) => "-server -Xms1g -Xmx1g -Xmn256m -XX:-UseLargePages".to_owned(),
        };
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }

    /// What the results say about how Java was started.
    pub fn described(&self) -> Vec<(String, String)> {
        let place = Path::new("LOGS");
        [
            ("broker", Program::Broker),
            ("name server (measured)", Program::NamesrvMeasured),
            ("name server (beside a broker)", Program::Namesrv),
            ("benchmark clients", Program::Benchmark("")),
        ]
        .map(|(name, program)| (name.to_owned(), self.flags(program, place).join(" ")))
        .into()
    }
}

fn executable() -> PathBuf {
    std::env::var_os("JAVA_HOME").map_or_else(|| "java".into(), |home| Path::new(&home).join("bin/java"))
}

/// What `java -version` says, on one line.
///
/// # Errors
/// When there is no Java.
pub fn version() -> Result<String> {
    let output = Command::new(executable()).arg("-version").output()?;
    Ok(String::from_utf8_lossy(&output.stderr).lines().take(2).collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_fits_the_machine() {
        let java = |gib: u64| Java { class_path: "jars/*".to_owned(), memory_bytes: gib * GIB };
        let has = |gib, flag: &str| java(gib).flags(Program::Broker, Path::new("/h")).iter().any(|given| given == flag);
        assert!(has(64, "-Xmx8g") && has(64, "-XX:MaxDirectMemorySize=15g"));
        assert!(has(16, "-Xmx4g") && has(16, "-XX:MaxDirectMemorySize=8g"));
        assert!(has(2, "-Xmx1g") && has(2, "-Xms1g"));
    }
}
