// A `taillight serve` on free ports with an empty directory of runs.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Runs use(url, runs) beside a serve of the program, and ends it. */
export async function withServe(taillight, use) {
  const dir = await mkdtemp(path.join(tmpdir(), 'taillight-serve-'));
  const env = Object.fromEntries(Object.entries(process.env).filter(([k]) => !/^(TAILLIGHT|OTEL|PYROSCOPE)_/.test(k)));
  const any = '127.0.0.1:0';
  const child = spawn(path.resolve(taillight), ['serve', '--web', any, '--otlp', any, '--otlp-grpc', any, '--profiles', any, '--runs', path.join(dir, 'runs')], { cwd: dir, env, stdio: ['ignore', 'pipe', 'inherit'] });
  const gone = new Promise((resolve) => { child.once('exit', resolve); });
  try {
    let said = '';
    const url = await new Promise((resolve, reject) => {
      child.stdout.on('data', (text) => { said += text; const m = /^page\s+(http:\S+)/m.exec(said); if (m) resolve(m[1]); });
      child.once('error', reject);
      gone.then(() => reject(new Error('serve ended: ' + said)));
    });
    await use(url, path.join(dir, 'runs'));
  } finally {
    child.kill('SIGINT');
    await gone;
    await rm(dir, { recursive: true, force: true, maxRetries: 40, retryDelay: 250 }); // who wrote there may still be ending
  }
}
