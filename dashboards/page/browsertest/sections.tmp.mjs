import { withBrowser, withReport } from './browser.mjs';
const [file, out, width, scheme, ...ids] = process.argv.slice(2);
await withBrowser(async (context) => {
  const f = await withReport(context, file, { width: +width, height: 900, scheme }, async (page) => {
    for (const id of ids) await page.locator('#' + id).screenshot({ path: `${out}/${id}-${width}-${scheme}.png` });
  });
  console.log(f.filter(x=>!/style/i.test(x)));
});
