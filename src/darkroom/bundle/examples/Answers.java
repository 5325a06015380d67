package com.example.model;

//? sets
import java.util.ArrayList;
import java.util.List;

//? end
/** What the model's probabilities mean; the numbers are those of model-card.json. */
public final class Answers {
    /** In the order of the model's output. */
    public static final String[] LABELS = {
@LABELS@
    };
    //? classes

    /** Said where no answer counts. */
    public static final String NOT_SURE = "not sure";
    //? temperature

    /** Probabilities are read at this temperature; thresholds are held against what comes of it. */
    public static final double TEMPERATURE = @TEMPERATURE@;
    //? thresholds

    /** From which probability on an answer counts, by class; below it is "not sure". */
    public static final double[] COUNTS_FROM = {@COUNTS_FROM@};
    //? classes

    /** The most probable class, of equal ones the first. */
    public static int best(float[] probabilities) {
        int best = 0;
        for (int at = 1; at < probabilities.length; at++) {
            if (probabilities[at] > probabilities[best]) best = at;
        }
        return best;
    }
    //? temperature

    /** The probabilities at the temperature; their order stays. */
    public static float[] atTemperature(float[] probabilities) {
        double[] powers = new double[probabilities.length];
        double most = probabilities[best(probabilities)], sum = 0;
        for (int at = 0; at < powers.length; at++) {
            sum += powers[at] = Math.pow(probabilities[at] / most, 1 / TEMPERATURE);
        }
        float[] scaled = new float[powers.length];
        for (int at = 0; at < powers.length; at++) scaled[at] = (float) (powers[at] / sum);
        return scaled;
    }
    //? classes

    /** The name of the class@OR_NOT_SURE@. */
    public static String answer(float[] probabilities) {
        int best = best(probabilities);
        //? thresholds-at-temperature
        if (!(atTemperature(probabilities)[best] >= COUNTS_FROM[best])) return NOT_SURE;
        //? thresholds-plain
        if (!(probabilities[best] >= COUNTS_FROM[best])) return NOT_SURE;
        //? classes
        return LABELS[best];
    }
    //? sets

    /** From which probability on a label is given; each stands by itself, they do not sum to 1. */
    public static final double[] GIVEN_FROM = {@COUNTS_FROM@};

    /** The labels of the picture: any number of them, also none. */
    public static List<String> answer(float[] probabilities) {
        List<String> given = new ArrayList<>();
        for (int at = 0; at < LABELS.length; at++) {
            if (probabilities[at] >= GIVEN_FROM[at]) given.add(LABELS[at]);
        }
        return given;
    }
    //? masks

    /** In a mask on the photo: the contract cut this pixel off. */
    public static final int NO_ANSWER = 255;

    /**
     * The class of each pixel of the tensor, row by row.
     *
     * @param probabilities HEIGHT * WIDTH * LABELS.length values: rows, columns, classes
     */
    public static byte[] mask(float[] probabilities) {
        byte[] mask = new byte[Preprocessing.HEIGHT * Preprocessing.WIDTH];
        for (int pixel = 0; pixel < mask.length; pixel++) {
            int first = pixel * LABELS.length, best = 0;
            for (int at = 1; at < LABELS.length; at++) {
                if (probabilities[first + at] > probabilities[first + best]) best = at;
            }
            mask[pixel] = (byte) best;
        }
        return mask;
    }

    /** The class of each pixel of the upright photo, row by row; NO_ANSWER where the contract cut it off. */
    public static byte[] onPhoto(byte[] mask, Preprocessing photo) {
        byte[] whole = new byte[photo.photoWidth * photo.photoHeight];
        for (int y = 0, at = 0; y < photo.photoHeight; y++) {
            int row = place(y - photo.cropTop, photo.cropHeight, photo.resizedHeight);
            for (int x = 0; x < photo.photoWidth; x++, at++) {
                int column = place(x - photo.cropLeft, photo.cropWidth, photo.resizedWidth);
                boolean cut = row < 0 || column < 0;
                int from = (photo.padTop + row) * Preprocessing.WIDTH + photo.padLeft + column;
                whole[at] = cut ? (byte) NO_ANSWER : mask[from];
            }
        }
        return whole;
    }

    private static int place(int at, int kept, int resized) {
        return at < 0 || at >= kept ? -1 : (int) ((2L * at + 1) * resized / (2L * kept));
    }
    //? end
}
