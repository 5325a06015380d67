package com.example.model;

//? autocontrast median3
import java.util.Arrays;

//? end
/**
 * From the pixels of a photo to the model's input, in integers, as contract.json of the bundle says. Pure
 * Java: test it on the pictures in golden/, whose tensors it must make byte for byte. (The one picture with
 * a tolerance in golden.json has a colour profile, which is the decoder's matter.)
 */
public final class Preprocessing {
    public static final int WIDTH = @WIDTH@, HEIGHT = @HEIGHT@, CHANNELS = @CHANNELS@;

    /** HEIGHT * WIDTH * CHANNELS bytes: rows from the top, columns, @ORDER@; 0 to 255, nothing divided. */
    public final byte[] tensor;

    /** Size of the upright photo. */
    public final int photoWidth, photoHeight;
    /** What is kept of it. */
    public final int cropLeft, cropTop, cropWidth, cropHeight;
    /** Where that lies in the tensor, and how large. */
    public final int padLeft, padTop, resizedWidth, resizedHeight;

    /**
     * @param argb pixels as they are stored, row by row, alpha not premultiplied (Bitmap.getPixels)
     * @param width of the stored picture
     * @param height of the stored picture
     * @param orientation of EXIF, 1 to 8; 1 where there is none
     */
    public Preprocessing(int[] argb, int width, int height, int orientation) {
        int[] upright = upright(argb, width, height, orientation);
        photoWidth = orientation >= 5 && orientation <= 8 ? height : width;
        photoHeight = orientation >= 5 && orientation <= 8 ? width : height;
        //? squash
        // Resize mode "squash": all of the photo, whatever its proportions.
        cropWidth = photoWidth;
        cropHeight = photoHeight;
        resizedWidth = WIDTH;
        resizedHeight = HEIGHT;
        //? crop
        // Resize mode "crop": the middle of the photo, in the tensor's proportions.
        boolean wide = (long) photoWidth * HEIGHT > (long) photoHeight * WIDTH;
        cropWidth = wide ? ratio((long) photoHeight * WIDTH, HEIGHT) : photoWidth;
        cropHeight = wide ? photoHeight : ratio((long) photoWidth * HEIGHT, WIDTH);
        resizedWidth = WIDTH;
        resizedHeight = HEIGHT;
        //? fill
        // Resize mode "fill": all of the photo, with a margin.
        boolean wide = (long) photoWidth * HEIGHT > (long) photoHeight * WIDTH;
        cropWidth = photoWidth;
        cropHeight = photoHeight;
        resizedWidth = wide ? WIDTH : ratio((long) photoWidth * HEIGHT, photoHeight);
        resizedHeight = wide ? ratio((long) photoHeight * WIDTH, photoWidth) : HEIGHT;
        //? half_crop
        // Resize mode "half_crop": half-way between cutting the photo off and adding a margin.
        boolean wide = (long) photoWidth * HEIGHT > (long) photoHeight * WIDTH;
        long both = (long) photoWidth * HEIGHT + (long) photoHeight * WIDTH, area = 2L * WIDTH * HEIGHT;
        cropWidth = wide ? ratio(both, 2 * HEIGHT) : photoWidth;
        cropHeight = wide ? photoHeight : ratio(both, 2 * WIDTH);
        resizedWidth = wide ? WIDTH : ratio(area * photoWidth, both);
        resizedHeight = wide ? ratio(area * photoHeight, both) : HEIGHT;
        //? end
        cropLeft = (photoWidth - cropWidth) / 2;
        cropTop = (photoHeight - cropHeight) / 2;
        padLeft = (WIDTH - resizedWidth) / 2;
        padTop = (HEIGHT - resizedHeight) / 2;
        byte[] narrowed = resized(kept(upright), cropHeight, cropWidth, resizedWidth, true);
        byte[] pixels = padded(resized(narrowed, resizedWidth, cropHeight, resizedHeight, false));
        //? invert
        invert(pixels);
        //? autocontrast
        autocontrast(pixels);
        //? median3
        pixels = median3(pixels);
        //? dark_background
        darkBackground(pixels);
        //? end
        tensor = pixels;
    }

    private static int[] upright(int[] from, int width, int height, int orientation) {
        if (orientation < 2 || orientation > 8) return from;
        int w = orientation >= 5 ? height : width, h = orientation >= 5 ? width : height;
        int[] to = new int[from.length];
        for (int y = 0, at = 0; y < h; y++) {
            for (int x = 0; x < w; x++, at++) {
                int column = orientation >= 5 ? y : x, row = orientation >= 5 ? x : y;
                if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) {
                    column = width - 1 - column;
                }
                if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) {
                    row = height - 1 - row;
                }
                to[at] = from[row * width + column];
            }
        }
        return to;
    }

    /** The part that is kept, as bytes; transparent pixels are laid on a colour. */
    private byte[] kept(int[] argb) {
        byte[] to = new byte[cropWidth * cropHeight * CHANNELS];
        for (int y = 0, at = 0; y < cropHeight; y++) {
            for (int x = 0; x < cropWidth; x++) {
                int pixel = argb[(cropTop + y) * photoWidth + cropLeft + x], alpha = pixel >>> 24;
                int r = over(pixel >> 16 & 0xFF, alpha, @ALPHA_RED@);
                int g = over(pixel >> 8 & 0xFF, alpha, @ALPHA_GREEN@);
                int b = over(pixel & 0xFF, alpha, @ALPHA_BLUE@);
                //? grey
                to[at++] = (byte) ((19595 * r + 38470 * g + 7471 * b + 32768) >> 16);
                //? rgb
                to[at++] = (byte) r;
                to[at++] = (byte) g;
                to[at++] = (byte) b;
                //? end
            }
        }
        return to;
    }

    /** One axis: each of the lines from n to m values; lines are rows, or else columns. */
    private static byte[] resized(byte[] from, int lines, int n, int m, boolean rows) {
        if (n == m) return from;
        byte[] to = new byte[lines * m * CHANNELS];
        long most = Math.max(n, m);
        for (int i = 0; i < m; i++) {
            long c = (2L * i + 1) * n;
            int lo = (int) Math.max(0, Math.floorDiv(c - 2 * most + m, 2L * m));
            int hi = (int) Math.min(n, Math.floorDiv(c + 2 * most + m, 2L * m));
            long[] weights = new long[hi - lo];
            long sum = 0;
            for (int x = lo; x < hi; x++) {
                sum += weights[x - lo] = Math.max(0, 2 * most - Math.abs((2L * x + 1) * m - c));
            }
            for (int x = 0; x < weights.length; x++) {
                weights[x] = (weights[x] * (1 << 23) + sum) / (2 * sum);
            }
            for (int line = 0; line < lines; line++) {
                for (int channel = 0; channel < CHANNELS; channel++) {
                    long total = 1 << 21;
                    for (int x = lo; x < hi; x++) {
                        int at = rows ? line * n + x : x * lines + line;
                        total += (from[at * CHANNELS + channel] & 0xFF) * weights[x - lo];
                    }
                    int at = rows ? line * m + i : i * lines + line;
                    to[at * CHANNELS + channel] = (byte) Math.min(255, Math.max(0, total >> 22));
                }
            }
        }
        return to;
    }

    private byte[] padded(byte[] from) {
        if (resizedWidth == WIDTH && resizedHeight == HEIGHT) return from;
        byte[] to = new byte[WIDTH * HEIGHT * CHANNELS];
        byte[] colour = {@PAD@};
        for (int at = 0; at < to.length; at++) to[at] = colour[at % CHANNELS];
        int line = resizedWidth * CHANNELS;
        for (int y = 0; y < resizedHeight; y++) {
            System.arraycopy(from, y * line, to, ((padTop + y) * WIDTH + padLeft) * CHANNELS, line);
        }
        return to;
    }

    private static int over(int colour, int alpha, int behind) {
        return (2 * (colour * alpha + behind * (255 - alpha)) + 255) / 510;
    }
    //? crop fill half_crop

    /** a / b rounded to the nearest, halves up, and at least 1. */
    private static int ratio(long a, long b) {
        return (int) Math.max(1, (2 * a + b) / (2 * b));
    }
    //? invert dark_background

    private static void invert(byte[] pixels) {
        for (int at = 0; at < pixels.length; at++) pixels[at] = (byte) (255 - (pixels[at] & 0xFF));
    }
    //? autocontrast

    /** Stretches each channel to 0..255. */
    private static void autocontrast(byte[] pixels) {
        int[] lo = new int[CHANNELS], hi = new int[CHANNELS];
        Arrays.fill(lo, 255);
        for (int at = 0; at < pixels.length; at++) {
            lo[at % CHANNELS] = Math.min(lo[at % CHANNELS], pixels[at] & 0xFF);
            hi[at % CHANNELS] = Math.max(hi[at % CHANNELS], pixels[at] & 0xFF);
        }
        for (int at = 0; at < pixels.length; at++) {
            int least = lo[at % CHANNELS], span = hi[at % CHANNELS] - least;
            if (span > 0) pixels[at] = (byte) ((((pixels[at] & 0xFF) - least) * 510 + span) / (2 * span));
        }
    }
    //? median3

    /** The median of 3 x 3 pixels; the edge repeats beyond itself. */
    private static byte[] median3(byte[] from) {
        byte[] to = new byte[from.length];
        int[] nine = new int[9];
        for (int at = 0; at < to.length; at++) {
            int channel = at % CHANNELS, x = at / CHANNELS % WIDTH, y = at / CHANNELS / WIDTH;
            for (int place = 0; place < 9; place++) {
                int column = Math.min(WIDTH - 1, Math.max(0, x + place % 3 - 1));
                int row = Math.min(HEIGHT - 1, Math.max(0, y + place / 3 - 1));
                nine[place] = from[(row * WIDTH + column) * CHANNELS + channel] & 0xFF;
            }
            Arrays.sort(nine);
            to[at] = (byte) nine[4];
        }
        return to;
    }
    //? dark_background

    /** Inverts a picture whose outermost pixels are light. */
    private static void darkBackground(byte[] pixels) {
        long sum = 0, count = 0;
        for (int at = 0; at < pixels.length; at++) {
            int x = at / CHANNELS % WIDTH, y = at / CHANNELS / WIDTH;
            if (x == 0 || y == 0 || x == WIDTH - 1 || y == HEIGHT - 1) {
                sum += pixels[at] & 0xFF;
                count++;
            }
        }
        if (2 * sum > 255 * count) invert(pixels);
    }
    //? end
}
