// Writes the pictures that the README shows, of the page before plausible data:
//   node tests/browser/screenshots.js

import { mkdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { makeData } from './support/data.js';
import { Mock } from './support/mock.js';

const FOLDER = fileURLToPath(new URL('../../deploy/pictures/', import.meta.url));
const MOST_BYTES = 200 * 1000;
const PICTURES = [
  { name: 'status-light.png', width: 1440, height: 820, scheme: 'light', at: 'body' },
  { name: 'status-dark.png', width: 1440, height: 820, scheme: 'dark', at: 'body' },
  { name: 'audit-light.png', width: 1440, height: 930, scheme: 'light', at: '#audit' },
  { name: 'phone-light.png', width: 390, height: 844, scheme: 'light', at: 'body' },
  { name: 'phone-dark.png', width: 390, height: 844, scheme: 'dark', at: '#audit' },
];

async function take(browser, url, { name, width, height, scheme, at }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, reducedMotion: 'reduce',
    deviceScaleFactor: width < 500 ? 1.5 : 1 });
  const page = await context.newPage();
  await page.goto(url);
  await page.locator('#mutations .mutation').first().waitFor();
  await page.locator('#client-rows tr:nth-child(7)').waitFor();
  await page.locator('.unfold').nth(1).press('Enter');
  await page.evaluate(() => document.activeElement.blur());
  await page.locator(at).first().evaluate((node) => node.scrollIntoView());
  await page.mouse.move(0, 0);
  const path = FOLDER + name;
  await page.screenshot({ path });
  await context.close();
  const { size } = await stat(path);
  console.log(`${name}: ${Math.round(size / 1000)} kB`);
  return size <= MOST_BYTES;
}

await mkdir(FOLDER, { recursive: true });
const mock = await new Mock(makeData()).open();
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
for (const picture of PICTURES) {
  if (!await take(browser, mock.url, picture)) {
    console.error(`${picture.name} is larger than ${MOST_BYTES} bytes`);
    process.exitCode = 1;
  }
}
await browser.close();
await mock.close();
